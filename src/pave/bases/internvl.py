"""InternVL: frames shown as images, 2 x 2 patches shuffled into a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.squares import block_means, square
from pave.bases.undivided import Step, UndividedFamily


class InternVL(UndividedFamily):
    """``InternVLForConditionalGeneration``."""

    method = "get_image_features"
    key = "image"
    pixels = "pixel_values"
    placeholder = "image_token_id"
    is_tensor = True

    @property
    def frame_grid(self) -> tuple[int, int]:
        tower = self.config.vision_config
        sizes = [_pair(value) for value in (tower.image_size, tower.patch_size)]
        rows, columns = (int(size // patch * self.config.downsample_ratio) for size, patch in zip(*sizes, strict=True))
        return (rows, columns)

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        return [Step(1, self.frame_grid)] * len(inputs[self.pixels])

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return block_means(self.finest(core, output, inputs), round(1 / self.config.downsample_ratio)).flatten(0, 2)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        layer = self.config.vision_feature_layer
        hidden = output.last_hidden_state if layer == -1 else output.hidden_states[layer]
        return square(hidden[:, 1:] if self.config.vision_feature_select_strategy == "default" else hidden)

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        made = processor([frames], do_sample_frames=False, return_tensors="pt")
        return {self.pixels: made["pixel_values_videos"].flatten(0, 1)}


def _pair(value: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
