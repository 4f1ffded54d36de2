"""LLaVA-NeXT-Video: a CLIP tower whose patches are pooled before the projector."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pave.bases.frames import FrameFamily


class LlavaNextVideo(FrameFamily):
    """``LlavaNextVideoForConditionalGeneration``; its videos end without a newline."""

    @property
    def grid(self) -> tuple[int, int]:
        side = self.config.vision_config.image_size // self.config.vision_config.patch_size
        return (side // self.config.spatial_pool_stride,) * 2

    def pooled(self, core: Any, patches: Tensor) -> Tensor:
        features: Tensor = core.vision_resampler(patches)
        return features
