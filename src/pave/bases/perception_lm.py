"""Perception LM: frames through its image path, averaged after the projector, at places of videos."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pave.bases.frames import FrameFamily
from pave.bases.layout import VideoShape
from pave.bases.squares import block_means, square


class PerceptionLM(FrameFamily):
    """``PerceptionLMForConditionalGeneration``; of pixels and features together it silently takes the features."""

    method = "get_image_features"
    arguments = {"pixel_values": "pixel_values_videos"}
    entries = "step"

    @property
    def vision_dim(self) -> int:
        return int(self.config.vision_config.model_args["embed_dim"])

    @property
    def grid(self) -> tuple[int, int]:
        tower = self.config.vision_config
        sizes = getattr(tower, "model_args", {}).get("img_size", getattr(tower, "image_size", None))
        return self._grid(sizes if isinstance(sizes, int) else sizes[0])

    def _grid(self, pixels: int) -> tuple[int, int]:
        tower = self.config.vision_config
        patch = getattr(tower, "patch_size", None)
        if patch is None:
            # The released towers are timm's, whose configuration tells the patch by the architecture's name alone.
            patch = int(re.findall(r"patch(\d+)", tower.architecture)[0])
        return (pixels // patch // self.config.projector_pooling_ratio,) * 2

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        videos, steps, _, height, _ = inputs[self.pixels].shape
        return [(int(steps), self._grid(int(height)))] * int(videos)

    def hidden(self, output: Any) -> Tensor:
        features: Tensor = output.last_hidden_state
        return features[:, 1:] if self.config.vision_use_cls_token else features

    def pooled(self, core: Any, patches: Tensor) -> Tensor:
        return block_means(square(patches), self.config.projector_pooling_ratio).flatten(1, 2)
