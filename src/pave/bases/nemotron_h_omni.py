"""Nemotron-H Omni: two frames a step, packed in the tower's channels, and its own video forward out of order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.squares import block_means, square
from pave.bases.undivided import Step, UndividedFamily
from pave.errors import InputError


class NemotronHOmni(UndividedFamily):
    """``NemotronH_Omni_Reasoning_V3``.

    In transformers 5.23 its forward fails on pixels of videos, because it expects a list where its own video path
    gives a tensor; through the seam it gets the list, with or without a patch.
    """

    placeholder = "image_token_id"
    language_model = "language_model"
    vision_tower = "vision_model"
    hint = "give one time a frame; frames are paired across videos, so each video but the last needs an even number"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.frames_per_step = int(config.video_temporal_patch_size)

    def must_encode(self, inputs: Mapping[str, Any]) -> bool:
        return inputs.get(self.pixels) is not None

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        if getattr(self.config, "video_pruning_rate", 0):
            raise InputError(
                "video_pruning_rate is not 0: this base then drops video tokens by a rule of its own; set it to 0"
            )
        frames, _, height, width = inputs[self.pixels].shape
        patch, ratio = self.config.vision_config.patch_size, self.config.downsample_ratio
        grid = (int(height // patch * ratio), int(width // patch * ratio))
        full, last = divmod(frames, self.frames_per_step)
        return [Step(self.frames_per_step, grid)] * (full + bool(last))

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return block_means(self.patches(core, output, inputs), round(1 / self.config.downsample_ratio)).flatten(0, 2)

    def patches(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        height, width = inputs[self.pixels].shape[-2:]
        patch = self.config.vision_config.patch_size
        # Class and register tokens come first.
        return square(output.last_hidden_state[:, -(height // patch) * (width // patch) :])

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        shown = frames.repeat_interleave(self.frames_per_step, dim=0)
        return dict(processor([shown], do_sample_frames=False, return_tensors="pt"))
