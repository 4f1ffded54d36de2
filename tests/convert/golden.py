"""The reference's end-to-end outputs, and its inputs in this project's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from pave import SideChannel

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden" / "e2e"
BASE = GOLDEN / "tiny-llava-onevision-qwen2-ov"
SIDES = ("audio", "dense")
TOKENS = {"native": lambda frames: frames * 196 + 1, "grid": lambda frames: frames * 14 * 15}
"""Placeholders that a video of so many frames takes."""


def meta() -> dict[str, Any]:
    """Return sizes and settings of the golden files."""
    loaded: dict[str, Any] = json.loads((GOLDEN / "meta.json").read_text())
    return loaded


def checkpoint(side: str) -> Path:
    """Return the folder of one of the two patches."""
    return GOLDEN / str(meta()["sides"][side]["checkpoint"])


def outputs(name: str, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of an output file whose names begin with a prefix, without it."""
    stored = load_file(GOLDEN / f"{name}_io.safetensors")
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def golden_inputs() -> dict[str, Tensor]:
    """Return the inputs as the reference takes them, with -200 for a video."""
    return load_file(GOLDEN / "inputs.safetensors")


def batch(layout: str, placeholder: int, left: bool = False) -> dict[str, Tensor]:
    """Return the golden inputs: each row's -200 becomes its video's placeholders, then the rows are padded."""
    facts, stored = meta(), golden_inputs()
    count = TOKENS[layout](facts["frames"])
    names = ("input_ids", "attention_mask", "labels")
    fills = {"input_ids": placeholder, "attention_mask": 1, "labels": -100}
    pads = {"input_ids": facts["pad_token_id"], "attention_mask": 0, "labels": -100}
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    for ids, mask, labels in zip(*(stored[name] for name in names), strict=True):
        place = int((ids == facts["image_placeholder"]).nonzero())
        kept = mask.bool()
        for name, values in zip(names, (ids, mask, labels), strict=True):
            before, after = values[:place][kept[:place]], values[place + 1 :][kept[place + 1 :]]
            rows[name].append(torch.cat([before, values.new_full((count,), fills[name]), after]))
    width = max(map(len, rows["input_ids"]))
    padded = {}
    for name in names:
        padding = [values.new_full((width - len(values),), pads[name]) for values in rows[name]]
        pairs = zip(padding, rows[name], strict=True) if left else zip(rows[name], padding, strict=True)
        padded[name] = torch.stack([torch.cat(pair) for pair in pairs])
    return {**padded, "pixel_values_videos": stored["pixel_values_videos"]}


def signals(name: str) -> list[SideChannel]:
    """Return the side channels of an output file, from arrays (B,D,K,rows,columns) padded at the end of K."""
    stored = outputs(name)
    sides = []
    for values, count in zip(stored["video_feats"], stored["feat_frame_nums"].tolist(), strict=True):
        rows, columns = values.shape[2:]
        steps = values[:, :count].permute(1, 2, 3, 0).flatten(1, 2)
        sides.append(SideChannel(steps, torch.arange(count), (rows, columns)))
    return sides
