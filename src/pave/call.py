"""One call of a PaveModel, made ready for its base: encoded and patched videos, and the LoRAs of each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pave.errors import InputError
from pave.patches.compose import Choice, Side, apply_patches, check_channels, choose, run_idle
from pave.sharding import awake, is_sharded
from pave.types import VideoTokens

if TYPE_CHECKING:
    from pave.model import PaveModel


@dataclass(frozen=True)
class Batch:
    """What a call was given beside the base's own inputs; see :meth:`pave.PaveModel.forward`."""

    side: Side | None = None
    video_times_sec: Sequence[Any] | None = None
    patches: Choice = None
    videos: Sequence[VideoTokens] | None = None


@dataclass(frozen=True)
class Call:
    """A batch, made ready for the base.

    Args:
        inputs: Inputs of the base.
        loras: For each sample the patches whose LoRAs act on it, with their weights.
        idle: Zeros that carry a gradient of 0 for each weight of the patches that the batch does not need.
    """

    inputs: dict[str, Any]
    loras: list[dict[str, float]]
    idle: list[Tensor] = field(default_factory=list)


def prepare(model: PaveModel, batch: Batch, inputs: dict[str, Any]) -> Call:
    """Encode a batch's videos and patch them.

    Raises:
        InputError: If channels, videos, times, placeholders or patches do not fit one another.
    """
    side = batch.side or {}
    if inputs.get("input_ids") is None:
        raise InputError("input_ids are missing; give what the base's processor made")
    rows = inputs["input_ids"].shape[0]
    patches = {} if model.is_base_only else batch.patches
    chosen = choose(patches, model.active_patches, model.specs, rows)
    check_channels(side, (spec.patch.channel for spec in model.specs.values() if spec.patch is not None))
    used = sorted({name for row in chosen for name in row if name in model.patches})
    has_pixels = inputs.get(model.family.pixels) is not None
    own_layout = model.layout == model.family.layouts[0]
    if batch.videos is None and not (has_pixels and (used or not own_layout)):
        return Call(inputs, _loras(model, chosen, [set()] * rows), _idle(model, model.patches))
    videos = batch.videos
    if videos is None:
        videos = model.encode_videos(inputs, batch.video_times_sec)
    placed = model.family.place(videos, inputs["input_ids"], model.layout)
    composed = apply_patches({name: model.patches[name] for name in used}, side, chosen, placed)
    rest = model.family.without_pixels(inputs)
    encoded = {"video": model.family.output(composed.videos, model.layout)}
    if rest.get("pixel_values") is not None:
        with awake(model.base.base_model):
            encoded["image"] = model.family.encode_images(model.base, rest)
        del rest["pixel_values"]
    rest["mm_encoder_outputs"] = encoded
    needed = set(used) - set(composed.idle)
    idle = _idle(model, [name for name in model.patches if name not in needed])
    return Call(rest, _loras(model, chosen, composed.present), idle)


def _loras(
    model: PaveModel, chosen: Sequence[Mapping[str, float]], present: Sequence[set[str]]
) -> list[dict[str, float]]:
    """LoRAs that act on each sample: of its patches whose channel it has, of all of them in training."""
    return [
        {
            name: weight
            for name, weight in row.items()
            if name in model.lora.specs and (name in have or name not in model.patches or model.training)
        }
        for row, have in zip(chosen, present, strict=True)
    ]


def _idle(model: PaveModel, names: Any) -> list[Tensor]:
    """Run what a batch does not need, where other processes wait for it."""
    training = model.training and torch.is_grad_enabled()
    return [run_idle(model.patches[name]) for name in names if training or is_sharded(model.patches[name])]
