"""One call of a PaveModel, made ready for its base: encoded and patched videos, and the LoRAs of each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pave.bases.lengthen import Lengthened
from pave.errors import InputError
from pave.patches.compose import Choice, Side, apply_patches, check_side, choose
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
        idle: Zeros that carry a gradient of 0 for each weight of the patches, if the batch has no video.
        lengthened: Where the tokens of the batch stand, if patches append some.
    """

    inputs: dict[str, Any]
    loras: list[dict[str, float]]
    idle: list[Tensor] = field(default_factory=list)
    lengthened: Lengthened | None = None


def prepare(model: PaveModel, batch: Batch, inputs: dict[str, Any]) -> Call:
    """Encode a batch's videos and patch them.

    Raises:
        InputError: If channels, videos, times, placeholders or patches do not fit one another.
    """
    side = {} if batch.side is None else batch.side
    if inputs.get("input_ids") is None:
        raise InputError("input_ids are missing; give what the base's processor made")
    rows = inputs["input_ids"].shape[0]
    patches = {} if model.is_base_only else batch.patches
    chosen = choose(patches, model.active_patches, model.specs, rows)
    check_side(side, (spec.patch.channel for spec in model.specs.values() if spec.patch is not None))
    always = _always(model)
    used = {name for row in chosen for name in row if name in model.patches}
    needed = {name: model.patches[name] for name in model.patches if name in used or name in always}
    has_pixels = inputs.get(model.family.pixels) is not None
    videos = batch.videos or None
    if has_pixels and videos is not None:
        raise InputError(f"both {model.family.pixels} and videos are given; give one of them")
    acts = used or model.layout != model.family.layouts[0] or model.family.must_encode(inputs)
    if videos is None and not (has_pixels and acts):
        composed = apply_patches(needed, {}, chosen, [], always)
        return Call(inputs, _loras(model, chosen, composed.present), composed.idle)
    if videos is None:
        videos = model.encode_videos(inputs, batch.video_times_sec)
    placed = model.family.place(videos, inputs["input_ids"], model.layout, inputs)
    composed = apply_patches(needed, side, chosen, placed, always, model.balanced)
    inputs, lengthened = model.family.lengthen(inputs, composed.videos, model.layout)
    has_images = inputs.get("pixel_values") is not None
    with awake(model.base.base_model) if has_images else nullcontext():
        rest = model.family.hand_over(model.base, inputs, composed.videos, model.layout)
    return Call(rest, _loras(model, chosen, composed.present), composed.idle, lengthened)


def _always(model: PaveModel) -> set[str]:
    """Names of the patches that this process must run because others may."""
    training = model.training and torch.is_grad_enabled()
    return {name for name, patch in model.patches.items() if training or is_sharded(patch)}


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
