"""A base without a file of its own: recognised from its call where that is safe, and else refused."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from pave.bases.family import Family
from pave.bases.grid import GridFamily
from pave.bases.layout import VideoShape, rows_of
from pave.errors import InputError
from pave.types import VideoTokens


class RecognisedGrid(GridFamily):
    """A base whose video path takes patches and ``video_grid_thw``; its tokens are counted at every call."""

    vision_width = None

    def __init__(self, config: PretrainedConfig, beside: tuple[str, ...]) -> None:
        super().__init__(config)
        self.beside = beside


class RecognisedFrames(Family):
    """A base whose video path takes nothing but frames (B,F,3,H,W); each frame must give a square of tokens."""

    is_tensor = True
    vision_width = None

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        raise InputError(f"{_what(self.config)}: its tokens a frame are not known before a call; {SUPPLY}")

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        return _Measured(self.config).encode(model, inputs, times_sec, vision)


class _Measured(RecognisedFrames):
    """The same during one call, in which the output tells the tokens a frame."""

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        pixels = inputs[self.pixels]
        if not isinstance(pixels, Tensor) or pixels.ndim != 5:
            raise InputError(f"{_what(self.config)}: {self.pixels} must have the shape (B,F,3,H,W); {SUPPLY}")
        return [(pixels.shape[1], (1, 1))] * len(pixels)

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        return super(RecognisedFrames, self).encode(model, inputs, times_sec, vision)

    def split(
        self, core: nn.Module, output: Any, inputs: Mapping[str, Any], vision: bool, shapes: Sequence[VideoShape]
    ) -> list[VideoTokens]:
        frames, rows = sum(steps for steps, _ in shapes), len(rows_of(output.pooler_output))
        side = math.isqrt(rows // frames)
        # A single frame and a newline are as many tokens as a larger frame: only several frames tell them apart.
        if shapes[0][0] < 2 or side * side * frames != rows:
            raise InputError(
                f"{_what(self.config)}: its {rows} tokens for {frames} frames are no squares, or of one frame a video "
                f"and so not safe to divide; {SUPPLY}"
            )
        return super().split(core, output, inputs, vision, [(steps, (side, side)) for steps, _ in shapes])


SUPPLY = (
    "register a family (pave.bases.registry.register, or the entry-point group pave.bases): a subclass of "
    "pave.bases.family.Family with the shapes of its videos"
)
"""What a third party must do for a base that is not known."""


def recognise(model: PreTrainedModel) -> Family | None:
    """Return a family for a base that has no file, ``None`` where its call does not show how its tokens lie."""
    path = getattr(type(model.base_model), "get_video_features", None)
    config = model.config
    if path is None or not hasattr(config, "video_token_id") or not _has_language_model(model):
        return None
    parameters = [
        parameter
        for parameter in inspect.signature(path).parameters.values()
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    names = {parameter.name for parameter in parameters}
    asked = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    if "video_grid_thw" in names and asked <= {"pixel_values_videos", "video_grid_thw"}:
        if getattr(getattr(config, "vision_config", None), "spatial_merge_size", None) is None:
            return None
        kinds = "mm_token_type_ids" in inspect.signature(type(model).forward).parameters
        return RecognisedGrid(config, ("video_grid_thw", "mm_token_type_ids") if kinds else ("video_grid_thw",))
    if asked == {"pixel_values_videos"} and not any("grid" in name or "size" in name for name in names):
        return RecognisedFrames(config)
    return None


def _has_language_model(model: PreTrainedModel) -> bool:
    return hasattr(model.base_model, "language_model") and model.base_model is not model


def _what(config: PretrainedConfig) -> str:
    return f"base family {config.model_type!r} has no file here"
