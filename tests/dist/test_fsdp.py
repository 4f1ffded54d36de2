"""Two FSDP2 processes do what one does, with the patches, and the inner model, as units of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard

from pave import PaveModel
from tests.batches import logits
from tests.dist.processes import (
    SIDES,
    assert_step,
    gradients,
    in_one_process,
    make_patched,
    mean_over_processes,
    step_batch,
    together,
)
from tests.tiny import FAMILIES, make_model


def shard(model: PaveModel, inner: bool) -> None:
    for layer in model.base.get_submodule(model.family.language_model).layers:
        fully_shard(layer)
    for patch in model.patches.values():
        fully_shard(patch)
    if inner:
        fully_shard(model.base.base_model)
    fully_shard(model)


def fsdp_step(rank: int, folder: Path, argument: tuple[str, list[dict[str, Any]], bool]) -> None:
    family, shares, inner = argument
    model = make_patched(family)
    shard(model, inner)
    for _ in range(2):
        model.zero_grad()
        loss = model(**shares[rank]).loss
        loss.backward()
    mean, found = mean_over_processes(loss).item(), gradients(model)
    if rank == 0:
        torch.save({"loss": mean, "gradients": found}, folder / "step.pt")
    _evaluate(model, shares[rank])
    _save_and_load(model, rank, folder)


def _evaluate(model: PaveModel, share: dict[str, Any]) -> None:
    """Nobody waits in evaluation either, where only one process needs a patch."""
    model.eval()
    with torch.no_grad():
        assert model(**share).logits.isfinite().all()


def _save_and_load(model: PaveModel, rank: int, folder: Path) -> None:
    """Every process saves, the first one writes; what was sharded is whole in the folder."""
    model.save_patch("audio", folder / "audio")
    dist.barrier()
    if rank == 0:
        plain = make_patched(model.config.model_type)
        plain.save_patch("audio", folder / "wanted")
        for file in ("patch.safetensors", "lora/adapter_model.safetensors"):
            assert (folder / "audio" / file).read_bytes() == (folder / "wanted" / file).read_bytes()
        with torch.no_grad():
            for weight in plain.patches["audio"].parameters():
                weight.add_(1.0)
        plain.save_patch("audio", folder / "other")
    dist.barrier()
    model.replace_patch("audio", folder / "other")
    model.save_patch("audio", folder / "again")
    dist.barrier()
    assert (folder / "again" / "patch.safetensors").read_bytes() == (
        folder / "other" / "patch.safetensors"
    ).read_bytes()


@pytest.mark.dist
@pytest.mark.parametrize(
    ("family", "kind", "inner"),
    [
        (FAMILIES[0], "one lacks the channel", True),
        (FAMILIES[1], "each lacks what the other has", True),
        (FAMILIES[0], "one lacks the channel", False),
        (FAMILIES[1], "text", False),
    ],
)
def test_one_step_is_that_of_one_process(family: str, kind: str, inner: bool, tmp_path: Path) -> None:
    seeds = SIDES.get(kind, SIDES["both have the channel"])
    shares = step_batch(family, seeds, text_only=kind == "text")
    together(fsdp_step, tmp_path, (family, shares, inner))
    assert_step(tmp_path, in_one_process(family, shares))


def sharded_generation(rank: int, folder: Path, family: str) -> None:
    from torch.distributed.fsdp import register_fsdp_forward_method

    share = step_batch(family, SIDES["one lacks the channel"])[rank]
    share.pop("labels")
    model = make_patched(family).eval()
    options = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False}
    wanted = model.generate(**share, **options)
    shard(model, inner=False)
    register_fsdp_forward_method(model, "generate")
    assert torch.equal(model.generate(**share, **options, synced_gpus=True), wanted)


@pytest.mark.dist
def test_sharded_generation_is_that_of_one_process(tmp_path: Path) -> None:
    together(sharded_generation, tmp_path, FAMILIES[0])


def test_a_model_that_is_not_sharded_is_left_alone() -> None:
    model = make_patched(FAMILIES[0]).eval()
    share = step_batch(FAMILIES[0], SIDES["both have the channel"])[0]
    inputs = {name: value for name, value in share.items() if isinstance(value, torch.Tensor) and name != "labels"}
    model.encode_videos(inputs)
    assert "get_video_features" not in vars(model.base.base_model)
    assert torch.equal(logits(model, inputs), logits(make_model(FAMILIES[0]), inputs))
