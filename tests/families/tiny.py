"""Tiny random bases of every family, from configurations, and their inputs row by row: batches are made of rows."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

CONFIGS = Path(__file__).parent / "configs"
NAMES = tuple(sorted(path.stem for path in CONFIGS.glob("*.json")))


@functools.cache
def facts(name: str) -> dict[str, Any]:
    """Read what is recorded of a family: classes, configuration, and inputs with the videos that they hold."""
    read: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    return read


def make_base(name: str, seed: int = 0) -> PreTrainedModel:
    """Build a base whose weights keep a signal alive: default ones leave a tiny tower nearly mute."""
    spec = facts(name)
    torch.manual_seed(seed)
    config = getattr(transformers, spec["config_class"])(**copy.deepcopy(spec["config"]))
    if "experts_implementation" in spec:
        config._experts_implementation = spec["experts_implementation"]
    model: PreTrainedModel = getattr(transformers, spec["model_class"])(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for path, weight in model.named_parameters():
            if weight.ndim > 1:
                width = weight.shape[-1] if weight.ndim == 3 else weight[0].numel()
                weight.normal_(0, width**-0.5, generator=generator)
            elif path in spec.get("randomize", ()):
                weight.normal_(0, 0.5, generator=generator)
    for path in spec.get("randomize", ()):
        with torch.no_grad():
            model.get_parameter(path).normal_(0, 0.5, generator=generator)
    return model


@dataclass(frozen=True)
class Row:
    """One sample: inputs with one entry a token, inputs of its videos, and T and S of each."""

    tokens: dict[str, Tensor]
    media: dict[str, Tensor]
    videos: tuple[tuple[int, int], ...]


@functools.cache
def rows(name: str, case: str = "two") -> tuple[Row, ...]:
    """Return the samples of a recorded batch, each without its padding; ``multi`` is one sample of two videos."""
    if case == "multi" and case not in facts(name)["cases"]:
        return (_in_one(rows(name)),)
    recorded = facts(name)["cases"][case]
    inputs: dict[str, Tensor] = {}
    for field, entry in recorded["inputs"].items():
        inputs[field] = _tensor(entry, inputs)
    ids = inputs["input_ids"]
    tokenwise = {field for field, value in inputs.items() if value.shape == ids.shape and "qformer" not in field}
    videos = [
        [(video["T"], video["S"]) for video in recorded["videos"] if video["row"] == row] for row in range(len(ids))
    ]
    media = {field: value for field, value in inputs.items() if field not in tokenwise}
    split = {field: [value] for field, value in media.items()}
    if len(ids) > 1:
        split = {field: _split(field, value, videos, inputs) for field, value in media.items()}
    keep = inputs["attention_mask"].bool()
    return tuple(
        Row(
            {field: inputs[field][row, keep[row]] for field in tokenwise},
            {field: parts[row] for field, parts in split.items()},
            tuple(videos[row]),
        )
        for row in range(len(ids))
    )


def longer(name: str, placeholder: int, lead: int = 0) -> Row:
    """Return the second sample of a family that takes frames of one size, with one frame more.

    Args:
        name: The family's.
        placeholder: Token id that marks the places of video tokens.
        lead: Tokens before those of each frame.
    """
    row = rows(name)[1]
    ((steps, tokens),) = row.videos
    ids = row.tokens["input_ids"]
    first = int((ids == placeholder).nonzero()[0])
    ids = torch.cat([ids[:first], ids.new_full((tokens + lead,), placeholder), ids[first:]])
    pixels = {
        field: torch.cat([value, value.flip(-1)[:, :1]], dim=1)
        for field, value in row.media.items()
        if value.ndim == 5
    }
    return Row(
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, {**row.media, **pixels}, ((steps + 1, tokens),)
    )


def batch(samples: tuple[Row, ...] | list[Row], side: Literal["left", "right"] = "left") -> dict[str, Tensor]:
    """Put samples into one batch."""
    length = max(len(sample.tokens["input_ids"]) for sample in samples)
    made = {}
    for field in samples[0].tokens:
        padded = []
        for sample in samples:
            value = sample.tokens[field]
            fill = value.new_zeros(length - len(value))
            padded.append(torch.cat([fill, value] if side == "left" else [value, fill]))
        made[field] = torch.stack(padded)
    for field in samples[0].media:
        made[field] = _joined(field, [sample.media[field] for sample in samples])
    return made


def _in_one(samples: tuple[Row, ...]) -> Row:
    """Put the videos and texts of several samples into one."""
    tokens = {field: torch.cat([sample.tokens[field] for sample in samples]) for field in samples[0].tokens}
    media = {field: _joined(field, [sample.media[field] for sample in samples]) for field in samples[0].media}
    return Row(tokens, media, tuple(video for sample in samples for video in sample.videos))


def _split(field: str, value: Tensor, videos: list[list[tuple[int, int]]], inputs: dict[str, Tensor]) -> list[Tensor]:
    """Cut an input by rows; how many of its entries a video has is told by its length."""
    flat = [video for row in videos for video in row]
    steps = [count for count, _ in flat]
    if field == "pixel_values_videos" and "target_sizes_videos" in inputs:
        # One strip of patches of 14 pixels, along the last axis.
        sizes = (inputs["target_sizes_videos"].prod(dim=1) * 14).tolist()
        widths = [sum(part) for part in _by_steps(sizes, steps)]
        return list(value.split(_by_row(widths, videos), dim=-1))
    counts = {"video": [1] * len(flat), "step": steps, "token": [count * size for count, size in flat]}
    if "video_grid_thw" in inputs:
        counts["patch"] = inputs["video_grid_thw"].prod(dim=1).tolist()
        if len(counts["patch"]) != len(flat):
            counts["patch"] = [sum(part) for part in _by_steps(counts["patch"], steps)]
    sizes = next(sizes for sizes in counts.values() if sum(sizes) == len(value))
    parts = list(value.split(_by_row(sizes, videos)))
    return [part - part.min() for part in parts] if field == "video_token_pooling" else parts


def _joined(field: str, parts: list[Tensor]) -> Tensor:
    if field == "pixel_values_videos" and parts[0].ndim == 4 and parts[0].shape[0] == 1 and parts[0].shape[2] == 14:
        return torch.cat(parts, dim=-1)
    if field == "video_token_pooling":
        starts = itertools.accumulate([int(part.max()) + 1 for part in parts[:-1]], initial=0)
        parts = [part + start for part, start in zip(parts, starts, strict=True)]
    return torch.cat(parts)


def _by_steps(sizes: list[int], steps: list[int]) -> list[list[int]]:
    ends = list(itertools.accumulate(steps))
    return [sizes[end - count : end] for count, end in zip(steps, ends, strict=True)]


def _by_row(sizes: list[int], videos: list[list[tuple[int, int]]]) -> list[int]:
    return [sum(part) for part in _by_steps(sizes, [len(row) for row in videos])]


def _tensor(entry: dict[str, Any], made: dict[str, Tensor]) -> Tensor:
    """Make one recorded input; ids come first, as others are derived from them."""
    if "runs" in entry:
        value = torch.tensor([[token for token, count in row for _ in range(count)] for row in entry["runs"]])
    elif "equals" in entry:
        value = torch.isin(made["input_ids"], torch.tensor(entry["equals"])) * entry["value"]
    elif "differs" in entry:
        value = made["input_ids"] != entry["differs"]
    elif "value" in entry:
        value = torch.tensor(entry["value"])
    elif "patch_grid" in entry:
        value = torch.cat([_positions(*grid) for grid in entry["patch_grid"]])
    elif "pool_index" in entry:
        starts = itertools.accumulate([frames * side**2 for frames, side, _ in entry["pool_index"]], initial=0)
        value = torch.cat([start + _blocks(*pool) for start, pool in zip(starts, entry["pool_index"], strict=False)])
    else:
        value = torch.randn(entry["shape"], generator=torch.Generator().manual_seed(entry["seed"]))
        for part in entry.get("zero", ()):
            hole = value
            for axis, first, last in part:
                hole = hole.narrow(axis, first, last - first)
            hole.zero_()
    return value.to(getattr(torch, entry["dtype"]))


def _positions(frames: int, width: int, height: int, padded: int) -> Tensor:
    """Column and row of each patch of each frame, -1 where it pads."""
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    found = torch.stack([xs, ys], dim=-1).flatten(0, 1)
    fill = torch.full((padded - len(found), 2), -1)
    return torch.cat([found, fill]).expand(frames, -1, -1)


def _blocks(frames: int, side: int, block: int) -> Tensor:
    """Indices of the patches that each token pools."""
    grid = torch.arange(frames * side**2).view(frames, side // block, block, side // block, block)
    return grid.transpose(2, 3).reshape(-1, block**2)
