"""ERNIE 4.5 VL: a patch grid a frame, and two frames merged into one step only after the tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.grid import GridFamily
from pave.bases.layout import VideoShape
from pave.errors import InputError


class Ernie4_5VL(GridFamily):  # noqa: N801
    """``Ernie4_5_VLMoeForConditionalGeneration``; ``moe_mm_token_type_ids`` choose the experts of each token."""

    beside = ("video_grid_thw", "mm_token_type_ids", "moe_mm_token_type_ids")
    vision_tower = "model.vision_tower"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.frames_per_step = int(config.vision_config.temporal_merge_size)

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        shapes = super().shapes(inputs)
        for index, (frames, _) in enumerate(shapes):
            if frames % self.frames_per_step:
                raise InputError(
                    f"video_grid_thw[{index}] has {frames} frames, but {self.config.model_type} merges "
                    f"{self.frames_per_step} into a step; sample a multiple of them"
                )
        return [(frames // self.frames_per_step, grid) for frames, grid in shapes]

    def groups(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        by_frame = super().groups(output, inputs)
        sizes = [steps * self.frames_per_step * rows * columns for steps, (rows, columns) in self.shapes(inputs)]
        merged = [
            video.unflatten(0, (steps, self.frames_per_step, -1)).mean(dim=1).flatten(0, 1)
            for video, (steps, _) in zip(by_frame.split(sizes), self.shapes(inputs), strict=True)
        ]
        return torch.cat(merged)

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        # Its videos have their times drawn on them; frames by themselves have none.
        shown = [frame.repeat(self.frames_per_step, 1, 1, 1) for frame in frames.split(1)]
        made = processor(shown, do_sample_frames=False, draw_on_frames=False, return_tensors="pt")
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}
