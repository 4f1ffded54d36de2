"""What the tiny bases have in common whose processors cut frames into patches and say their grid."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pave.blindspot.tiny_base.architecture import FRAME_SIZE, PATCH_SIZE, Architecture
from pave.blindspot.vocabulary import IMAGE, VIDEO

MERGE_SIZE = 2
PICTURE = {
    "patch_size": PATCH_SIZE,
    "merge_size": MERGE_SIZE,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

LEAST_PIXELS = FRAME_SIZE**2
MOST_PIXELS = 3 * FRAME_SIZE**2 // 2
"""Between these, pictures from 1:1 to 4:3 come out as 32 x 32: sides are rounded down to whole tokens of 16 pixels."""


class GridArchitecture(Architecture):
    """Patches of 8 x 8 pixels in the order of tokens, 2 x 2 of them a token."""

    named_tokens = {"image_token": IMAGE, "video_token": VIDEO}

    def pixels(self, frames: Tensor) -> Tensor:
        """Return the patches of all videos, one after another (patches, values)."""
        patches, *_ = self._video_processor.patchify(
            frames, patch_size=PATCH_SIZE, merge_size=MERGE_SIZE, temporal_patch_size=self.frames_per_step
        )
        return patches.flatten(0, 1)

    def step_tokens(self, core: Any, frames: Tensor) -> Tensor:
        """Return the video tokens (P,S,C) of one step each, from its frames (P,F,3,H,W) in -1..1."""
        side = FRAME_SIZE // PATCH_SIZE
        grids = torch.tensor([[1, side, side]]).expand(len(frames), -1)
        return torch.stack(list(self.encoded(core, self.pixels(frames), grids).pooler_output))

    @abstractmethod
    def encoded(self, core: Any, pixels: Tensor, grids: Tensor) -> Any:
        """Return what the video path makes of videos with grids (P,3) of patches: steps, rows and columns."""

    @cached_property
    def _video_processor(self) -> Any:
        return self.processor().video_processor
