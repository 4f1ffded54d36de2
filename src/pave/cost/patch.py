"""Cost of what stands beside a base: a patch, its LoRA and its encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pave.config import LoraSpec, PatchConfig, from_dict
from pave.cost.base import count_longer
from pave.cost.scene import BaseCost, Part, Scene
from pave.cost.side import side_shape
from pave.cost.video import one_step
from pave.cost.weightless import RealNumbers
from pave.encoders import build
from pave.encoders import registry as encoders
from pave.model import PaveModel
from pave.patches import build as build_patch
from pave.patches.align import Seconds
from pave.patches.patch import Patch

_NAME = "patch"


def count_patch(
    model: PaveModel,
    base: BaseCost,
    patch: PatchConfig | None,
    lora: LoraSpec | None,
    side_steps: int,
    side_tokens: int,
    seconds: float,
) -> list[Part]:
    """Count a patch and its LoRA on a base from :func:`meta_model`; the model is left without them.

    If the patch appends tokens, what the language model does with them is a part of its own.

    Args:
        model: The base.
        base: Its cost.
        patch: The fusion module, if any.
        lora: The LoRA on the language model, if any; it acts on every token.
        side_steps: K.
        side_tokens: N.
        seconds: Length of the video and of its side channel, over which the steps of both are evenly spread.

    Raises:
        InputError: If the patch does not fit the base.
    """
    parts, added = [], 0
    if patch is not None:
        module = _module(model, patch)
        video_sec, side_sec = (_spread(steps, seconds) for steps in (base.steps, side_steps))
        flops = module.flops(video_sec, base.tokens, side_sec, side_tokens)
        parts.append(Part("patch", sum(weight.numel() for weight in module.parameters()), flops))
        added = module.added_tokens(side_steps, side_tokens)
    if added:
        parts.append(Part("longer sequence", 0, count_longer(model, base, added)))
    if lora is not None:
        with torch.device("meta"):
            model.add_patch(_NAME, None, lora)
        parameters = sum(weight.numel() for weight in model.lora.parameters(_NAME))
        parts.append(Part("LoRA", parameters, 2 * parameters * (base.sequence + added)))
        model.remove_patch(_NAME)
    return parts


def count_appended(model: PaveModel, patch: PatchConfig, side_steps: int, side_tokens: int) -> int:
    """Return how many tokens a patch adds to those that the language model reads.

    Args:
        model: The base, from :func:`meta_model`.
        patch: The fusion module.
        side_steps: K.
        side_tokens: N.

    Raises:
        InputError: If the patch does not fit the base.
    """
    return _module(model, patch).added_tokens(side_steps, side_tokens)


def _spread(steps: int, seconds: float) -> Seconds:
    """Return the times of so many steps, each in the middle of its share of the time."""
    return (np.arange(steps) + 0.5) * seconds / max(steps, 1)


def _module(model: PaveModel, patch: PatchConfig) -> Patch:
    """Return the module of a patch on the meta device."""
    with torch.device("meta"):
        return build_patch(model.family.fit(patch, model.record.name))


@dataclass(frozen=True)
class EncoderCost:
    """Cost of an encoder.

    Args:
        part: Its parameters, and its operations for the whole of the media.
        steps: Side steps K that it makes.
        tokens: Tokens a step N, or ``None`` where only its files tell.
    """

    part: Part
    steps: int
    tokens: int | None


def count_encoder(settings: dict[str, Any], seconds: float, model: PaveModel, scene: Scene) -> EncoderCost:
    """Count an encoder over media of so many seconds; a released model of known size needs no download.

    Args:
        settings: Of the encoder, with its name under ``type``.
        seconds: Length of the media.
        model: The base, whose tower the encoder may work with; from :func:`meta_model`.
        scene: What the base reads; decides the size of frames.

    Raises:
        InputError: If the settings are wrong, or its model cannot be read.
    """
    if settings.get("type") == "audio" and settings.get("pooling", "mean") == "mean":
        from pave.encoders import sizes

        if settings.get("model") in sizes.SIZES:
            config = from_dict(encoders.get("audio").config_class, settings)
            steps, _ = side_shape(config, seconds, None)
            parameters, flops = sizes.count_window(config.model, config.window_sec)
            return EncoderCost(Part("encoder", parameters, flops * steps), steps, 1)
    encoder = build(settings)
    if encoder.needs_tower:
        encoder.attach(_MetaTower(model, scene))
    steps, _ = side_shape(encoder.config, seconds, model.family.frame_grid)
    return EncoderCost(Part("encoder", encoder.num_parameters, encoder.flops(seconds)), steps, encoder.tokens)


class _MetaTower:
    """The tower of a base without weights, whatever the frames: enough to count what one of them costs."""

    revision = ""

    def __init__(self, model: PaveModel, scene: Scene) -> None:
        self._model = model
        self._inputs = one_step(model.config, scene).inputs

    @property
    def width(self) -> int:
        return self._model.family.vision_dim

    @property
    def grid(self) -> tuple[int, int] | None:
        return self._model.family.frame_grid

    @torch.no_grad()
    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        with RealNumbers():
            return self._model.family.frame_features(self._model.base.base_model, self._inputs, pooled)
