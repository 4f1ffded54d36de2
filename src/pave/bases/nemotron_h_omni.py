"""Nemotron-H Omni: two frames a step, packed in the tower's channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import transformers
from packaging.version import Version
from torch import Tensor
from transformers import PretrainedConfig
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.layout import VideoShape
from pave.bases.squares import block_means
from pave.bases.stacked import StackedFamily
from pave.errors import InputError

_RGB = 3


class NemotronHOmni(StackedFamily):
    """``NemotronH_Omni_Reasoning_V3``, which transformers before 5.24 cannot ask about a video."""

    placeholder = "image_token_id"
    language_model = "language_model"
    vision_tower = "vision_model"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        if Version(transformers.__version__).release < (5, 24):
            raise InputError(
                f"bases of family {config.model_type!r} fail at videos in transformers {transformers.__version__}; "
                "install transformers>=5.24"
            )
        self.frames_per_step = int(config.video_temporal_patch_size)

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        if getattr(self.config, "video_pruning_rate", 0):
            raise InputError(
                "video_pruning_rate is not 0: this base then drops video tokens by a rule of its own; set it to 0"
            )
        pixels, packed = inputs[self.pixels], _RGB * self.frames_per_step
        if pixels.ndim != 5 or pixels.shape[2] != packed:
            raise InputError(
                f"{self.pixels} has the shape {tuple(pixels.shape)}; this base packs {self.frames_per_step} frames a "
                f"step (videos, steps, {packed}, height, width); make it with its processor and transformers>=5.24"
            )
        videos, steps, _, height, width = pixels.shape
        patch, ratio = self.config.vision_config.patch_size, self.config.downsample_ratio
        return [(int(steps), (int(height // patch * ratio), int(width // patch * ratio)))] * int(videos)

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return block_means(self.finest(core, output, inputs), round(1 / self.config.downsample_ratio)).flatten(0, 2)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        height, width = inputs[self.pixels].shape[-2:]
        patch = self.config.vision_config.patch_size
        rows, columns = height // patch, width // patch
        # Class and register tokens come first.
        return output.last_hidden_state.flatten(0, 1)[:, -rows * columns :].unflatten(1, (rows, columns))

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        shown = frames.repeat_interleave(self.frames_per_step, dim=0)
        return dict(processor([shown], do_sample_frames=False, return_tensors="pt"))
