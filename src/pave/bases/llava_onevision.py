"""LLaVA-OneVision: a SigLIP tower, a projector, bilinear halving, and one newline token a video or a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pave.bases.frames import FrameFamily
from pave.bases.squares import square
from pave.types import VideoTokens


class LlavaOnevision(FrameFamily):
    """``LlavaOnevisionForConditionalGeneration``.

    ``native`` is the layout of transformers: all tokens, then one newline. ``grid`` is the layout that the reference
    patches were trained in: a newline after each row of every frame.
    """

    layouts = ("native", "grid")
    tail = 1

    @property
    def grid(self) -> tuple[int, int]:
        side = self.config.vision_config.image_size // self.config.vision_config.patch_size
        return (math.ceil(side / 2), math.ceil(side / 2))

    def token_count(self, steps: int, grid: tuple[int, int], layout: str) -> int:
        rows, columns = grid
        return steps * rows * (columns + 1) if layout == "grid" else super().token_count(steps, grid, layout)

    def pooled(self, core: Any, patches: Tensor) -> Tensor:
        features: Tensor = core.apply_pooling(patches)
        return features

    def frame_features(self, core: Any, inputs: Mapping[str, Tensor], pooled: bool) -> Tensor:
        pixels = inputs[self.pixels].flatten(0, 1)
        patches = self.hidden(core.vision_tower(pixels, output_hidden_states=True, return_dict=True))
        return self.pooled(core, patches).unflatten(1, self.grid) if pooled else square(patches)

    def lay(self, video: VideoTokens, layout: str) -> Tensor:
        if layout == "native":
            return super().lay(video, layout)
        rows = video.tokens.unflatten(1, video.grid)
        newline = video.tail[-1].expand(*rows.shape[:2], 1, -1)
        return torch.cat([rows, newline], dim=2).flatten(0, 2)
