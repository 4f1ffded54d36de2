"""Ready batches for the tiny bases: inputs as a processor makes them, side channels and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pave import LoraSpec, PatchConfig, PaveModel, SideChannel
from tests.tiny import IMAGE, PAD, VIDEO, VISION_END, VISION_START

SIDE_DIM = 8
GREEDY: dict[str, Any] = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
BEAMS = {**GREEDY, "num_beams": 3}


@dataclass
class Batch:
    """Inputs of a base, and what a patch needs beside them."""

    inputs: dict[str, Tensor]
    times: list[Tensor]
    side: dict[str, list[SideChannel | None]] = field(default_factory=dict)

    @property
    def extras(self) -> dict[str, Any]:
        return {"side": self.side, "video_times_sec": self.times}


def make_batch(family: str, rows: int = 2, seed: int = 1, layout: str = "native", side: str = "left") -> Batch:
    """Rows of one video each, with texts of different lengths, padded on ``side``."""
    generator = torch.Generator().manual_seed(seed)
    if family == "llava_onevision":
        inputs, steps = _llava(rows, generator, layout, side)
    else:
        inputs, steps = _qwen(rows, generator, side)
    times = [0.5 + torch.arange(count) for count in steps]
    channel = [side_channel(seed=seed + row, steps=4 + row) for row in range(rows)]
    return Batch(inputs, times, {"audio": channel})


def side_channel(seed: int = 0, steps: int = 4, tokens: int = 1) -> SideChannel:
    values = torch.randn(steps, tokens, SIDE_DIM, generator=torch.Generator().manual_seed(seed))
    return SideChannel(values, torch.arange(steps) * 0.6)


def _llava(rows: int, generator: torch.Generator, layout: str, side: str) -> tuple[dict[str, Tensor], list[int]]:
    frames = 3
    placeholders = frames * 2 * 3 if layout == "grid" else frames * 4 + 1
    texts = [[20, *[VIDEO] * placeholders, *range(30, 33 + row)] for row in range(rows)]
    pixels = torch.randn(rows, frames, 3, 56, 56, generator=generator)
    return {**_pad(texts, side), "pixel_values_videos": pixels}, [frames] * rows


def _qwen(rows: int, generator: torch.Generator, side: str) -> tuple[dict[str, Tensor], list[int]]:
    grids = torch.tensor([[2 + row % 2, 8, 8 + 4 * (row % 2)] for row in range(rows)])
    counts = (grids.prod(dim=1) // 4).tolist()
    texts = [
        [20, VISION_START, *[VIDEO] * count, VISION_END, *range(30, 33 + row)] for row, count in enumerate(counts)
    ]
    inputs = _pad(texts, side)
    inputs["pixel_values_videos"] = torch.randn(int(grids.prod(dim=1).sum()), 1176, generator=generator)
    inputs["video_grid_thw"] = grids
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == VIDEO).long() * 2
    inputs["second_per_grid_ts"] = torch.full((rows,), 1.0)
    return inputs, grids[:, 0].tolist()


def _pad(texts: list[list[int]], side: str) -> dict[str, Tensor]:
    width = max(map(len, texts))
    padded = []
    for text in texts:
        fill = [PAD] * (width - len(text))
        padded.append(fill + text if side == "left" else text + fill)
    ids = torch.tensor(padded)
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def take_row(family: str, batch: Batch, row: int) -> Batch:
    """One row of a batch on its own, without its padding."""
    keep = batch.inputs["attention_mask"][row].bool()
    inputs = {name: batch.inputs[name][row : row + 1, keep] for name in ("input_ids", "attention_mask")}
    if family == "llava_onevision":
        inputs["pixel_values_videos"] = batch.inputs["pixel_values_videos"][row : row + 1]
    else:
        sizes = batch.inputs["video_grid_thw"].prod(dim=1).tolist()
        inputs["pixel_values_videos"] = batch.inputs["pixel_values_videos"].split(sizes)[row]
        inputs["video_grid_thw"] = batch.inputs["video_grid_thw"][row : row + 1]
        inputs["mm_token_type_ids"] = batch.inputs["mm_token_type_ids"][row : row + 1, keep]
        inputs["second_per_grid_ts"] = batch.inputs["second_per_grid_ts"][row : row + 1]
    side = {name: entries[row : row + 1] for name, entries in batch.side.items()}
    return Batch(inputs, batch.times[row : row + 1], side)


def patch_config(**changes: Any) -> PatchConfig:
    return PatchConfig(**{"channel": "audio", "side_dim": SIDE_DIM, "hidden_dim": 16, "heads": 2, **changes})


def patched(base: PreTrainedModel, trained: bool = True, **changes: Any) -> PaveModel:
    """A base with the patch ``audio`` and its LoRA, with random weights if ``trained``."""
    model = PaveModel.from_base(base)
    model.add_patch("audio", patch_config(**changes), LoraSpec(r=4))
    if trained:
        randomize(model, "audio")
    return model


def randomize(model: PaveModel, name: str, seed: int = 3) -> None:
    """Give a patch and its LoRA the weights of a long training."""
    generator = torch.Generator().manual_seed(seed)
    weights = list(model.patches[name].parameters()) if name in model.patches else []
    weights += model.lora.parameters(name) if name in model.lora.specs else []
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)


def logits(model: Any, inputs: dict[str, Tensor], **extras: Any) -> Tensor:
    """Logits at the places that are not padding; the rest is never read."""
    base = model.base if isinstance(model, PaveModel) else model
    if hasattr(base.base_model, "rope_deltas"):
        base.base_model.rope_deltas = None
    with torch.no_grad():
        found: Tensor = model(**inputs, **extras).logits
    return found[inputs["attention_mask"].bool()]


__all__ = ["BEAMS", "GREEDY", "IMAGE", "SIDE_DIM", "Batch", "logits", "make_batch", "patched", "randomize", "take_row"]
