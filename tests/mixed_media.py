"""Batches of unlike samples, made by the real processors: images, several videos, text only, other frame counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pave import PaveModel
from tests.composed import CHANNELS, side_channel
from tests.tiny import PAD, make_processor

MARKS = {
    "llava_onevision": ("<image>", "<video>"),
    "qwen2_5_vl": ("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"),
}


@dataclass(frozen=True)
class Row:
    """One sample: how many images, and the frame count of each video."""

    text: str
    images: int = 0
    videos: Sequence[int] = ()
    width: int = 56


@dataclass(frozen=True)
class Asked:
    """A batch, or a row of it on its own."""

    inputs: dict[str, Tensor]
    extras: dict[str, Any]


def ask(model: PaveModel, family: str, rows: Sequence[Row]) -> tuple[Asked, list[Asked]]:
    """Return the rows as one left-padded batch, and each by itself without padding."""
    made = [_row(family, row, seed) for seed, row in enumerate(rows)]
    alone = [Asked(inputs, extras) for inputs, extras in made]
    inputs = _joined([inputs for inputs, _ in made], model.family.pixels)
    extras: dict[str, Any] = {
        "video_times_sec": [times for _, extras in made for times in extras["video_times_sec"]],
        "side": {name: [entry for _, extras in made for entry in extras["side"][name]] for name in CHANNELS},
    }
    if model.family.pixels not in inputs:
        # Videos of different frame counts do not fit one tensor of pixels: each is encoded by itself.
        del extras["video_times_sec"]
        extras["videos"] = [
            video
            for one, more in made
            if model.family.pixels in one
            for video in model.encode_videos(one, more["video_times_sec"], vision=True)
        ]
    return Asked(inputs, extras), alone


def _row(family: str, row: Row, seed: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    image, video = MARKS[family]
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 255, (56, 56, 3), dtype=np.uint8) for _ in range(row.images)]
    films = [rng.integers(0, 255, (frames, 56, row.width, 3), dtype=np.uint8) for frames in row.videos]
    text = image * row.images + video * len(films) + row.text
    made = make_processor(family)(
        text=[text],
        images=pictures or None,
        videos=films or None,
        do_sample_frames=False,
        return_tensors="pt",
        **({"return_mm_token_type_ids": True} if family == "qwen2_5_vl" else {}),
    )
    sides = {
        name: [side_channel(seed=11 * seed + 3 * offset + index, steps=4) for index in range(len(films))]
        for offset, name in enumerate(CHANNELS)
    }
    times = [(torch.arange(frames) + 0.5) * 0.6 for frames in row.videos]
    return dict(made), {"side": sides, "video_times_sec": times}


def _joined(rows: Sequence[dict[str, Tensor]], pixels: str) -> dict[str, Tensor]:
    length = max(row["input_ids"].shape[1] for row in rows)
    joined = {}
    for name in sorted({name for row in rows for name in row}):
        parts = [row[name] for row in rows if name in row]
        if name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            fill = PAD if name == "input_ids" else 0
            parts = [torch.nn.functional.pad(part, (length - part.shape[1], 0), value=fill) for part in parts]
        if name != pixels or len({part.shape[1:] for part in parts}) == 1:
            joined[name] = torch.cat([torch.as_tensor(part) for part in parts])
    return joined


__all__ = ["Asked", "Row", "ask"]
