"""Two processes that train one step together, and the same step in one process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from pave import LoraSpec, PaveModel, SideChannel
from tests.batches import Batch, make_batch, patch_config, side_channel, take_row
from tests.composed import wake
from tests.tiny import make_model

PROCESSES = 2
PATIENCE_SEC = 120
"""How long a process waits for the other one: a test that hangs fails."""
SIDES: dict[str, list[list[int | None]]] = {
    "both have the channel": [[0, 1], [2, 3]],
    "one lacks the channel": [[0, 1], [None, None]],
    "each lacks what the other has": [[0, 1], [-2, None]],
}
"""For each process the seeds of its rows' side channels: ``audio``, or ``depth`` if negative."""

Work = Callable[[int, Path, Any], None]


def together(work: Work, folder: Path, argument: Any = None) -> None:
    """Run ``work(rank, folder, argument)`` in every process of a group; a file stands for the port they meet at."""
    # Torch and transformers are imported once, by the server that the processes are forked from.
    multiprocessing.set_forkserver_preload([__name__])
    mp.start_processes(_enter, args=(work, folder, argument), nprocs=PROCESSES, start_method="forkserver")


def _enter(rank: int, work: Work, folder: Path, argument: Any) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=PATIENCE_SEC)
    )
    try:
        work(rank, folder, argument)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def make_patched(family: str) -> PaveModel:
    """A base with two patches and their LoRAs, without dropout, so that a step can be done twice."""
    model = PaveModel.from_base(make_model(family))
    for name in ("audio", "depth"):
        model.add_patch(name, patch_config(channel=name), LoraSpec(r=4, dropout=0.0))
        wake(model, name)
    return model.train()


def step_batch(family: str, seeds: list[list[int | None]], text_only: bool = False) -> list[dict[str, Any]]:
    """Two rows a process, each with as many answer tokens, so that the mean of means is the mean."""
    whole = make_batch(family, rows=4)
    return [_share(family, whole, rank, seeds[rank], text_only and rank == 1) for rank in range(PROCESSES)]


def _share(family: str, whole: Batch, rank: int, seeds: list[int | None], text_only: bool) -> dict[str, Any]:
    if text_only:
        ids = torch.tensor([[20, 31, 32, 33, 34], [20, 41, 42, 43, 44]])
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if family == "qwen2_5_vl":
            inputs["mm_token_type_ids"] = torch.zeros_like(ids)
        return {**inputs, "labels": _labels(ids)}
    rows = [take_row(family, whole, 2 * rank + row) for row in range(2)]
    inputs = _padded([row.inputs for row in rows])
    side: dict[str, list[SideChannel | None]] = {
        "audio": [side_channel(seed, steps=4) if seed is not None and seed >= 0 else None for seed in seeds],
        "depth": [side_channel(-seed, steps=4) if seed is not None and seed < 0 else None for seed in seeds],
    }
    times = [row.times[0] for row in rows]
    return {**inputs, "side": side, "video_times_sec": times, "labels": _labels(inputs["input_ids"])}


def _padded(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    width = max(row["input_ids"].shape[1] for row in rows)
    joined = {}
    for name in rows[0]:
        parts = [row[name] for row in rows]
        if name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            parts = [torch.nn.functional.pad(part, (width - part.shape[1], 0)) for part in parts]
        joined[name] = torch.cat(parts)
    return joined


def _labels(ids: Tensor) -> Tensor:
    labels = torch.full_like(ids, -100)
    labels[:, -3:] = ids[:, -3:]
    return labels


def in_one_process(family: str, shares: list[dict[str, Any]]) -> tuple[float, dict[str, Tensor]]:
    """Return loss and gradients of the same step: every process's share is half of the mean."""
    model = make_patched(family)
    total = 0.0
    for share in shares:
        loss = model(**share).loss / PROCESSES
        loss.backward()
        total += loss.item()
    return total, gradients(model)


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return every gradient in one piece, by name; sharded ones are gathered by all processes."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, f"{name} has no gradient"
            gradient: Any = weight.grad
            found[name] = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return found


def mean_over_processes(value: Tensor) -> Tensor:
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / PROCESSES


def assert_step(folder: Path, wanted: tuple[float, dict[str, Tensor]]) -> None:
    """Compare what the first process wrote with what one process alone does."""
    found = torch.load(folder / "step.pt", weights_only=True)
    assert abs(found["loss"] - wanted[0]) < 1e-5
    assert found["gradients"].keys() == wanted[1].keys()
    assert any(gradient.abs().max() > 1e-4 for gradient in wanted[1].values())
    for name, gradient in wanted[1].items():
        torch.testing.assert_close(found["gradients"][name], gradient, atol=1e-5, rtol=1e-4, msg=name)
