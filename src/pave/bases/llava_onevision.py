"""LLaVA-OneVision: a SigLIP tower, a projector, bilinear halving, and one newline token a video or a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.family import Family, unplaced
from pave.types import VideoTokens


class LlavaOnevision(Family):
    """``LlavaOnevisionForConditionalGeneration``.

    A step is a frame. ``native`` is the layout of transformers: all tokens, then one newline. ``grid`` is the layout
    that the reference patches were trained in: a newline after each row of every frame.
    """

    layouts = ("native", "grid")

    @property
    def vision_dim(self) -> int:
        layers = self.config.vision_feature_layer
        width = int(self.config.vision_config.hidden_size)
        return width if isinstance(layers, int) else width * len(layers)

    @property
    def placeholder_id(self) -> int:
        return int(self.config.video_token_index)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's tokens, fixed by the configuration."""
        side = self.config.vision_config.image_size // self.config.vision_config.patch_size
        return (math.ceil(side / 2), math.ceil(side / 2))

    def shapes(self, inputs: Mapping[str, Any]) -> list[tuple[int, tuple[int, int]]]:
        videos, steps = inputs[self.pixels].shape[:2]
        return [(steps, self.grid)] * videos

    def token_count(self, steps: int, grid: tuple[int, int], layout: str) -> int:
        rows, columns = grid
        return steps * rows * (columns + 1) if layout == "grid" else steps * rows * columns + 1

    def split(self, core: nn.Module, output: Any, inputs: Mapping[str, Any], vision: bool) -> list[VideoTokens]:
        pooled = output.pooler_output
        steps = inputs[self.pixels].shape[1]
        rows, columns = self.grid
        raw = core.apply_pooling(self._patches(output)).unflatten(0, (-1, steps)) if vision else [None] * len(pooled)
        return [
            unplaced(video[:-1].view(steps, rows * columns, -1), features, video[-1:], self.grid)
            for video, features in zip(pooled, raw, strict=True)
        ]

    @property
    def frame_grid(self) -> tuple[int, int]:
        return self.grid

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        return dict(processor([frames], do_sample_frames=False, return_tensors="pt"))

    def frame_features(self, core: Any, inputs: Mapping[str, Tensor], pooled: bool) -> Tensor:
        pixels = inputs[self.pixels].flatten(0, 1)
        patches = self._patches(core.vision_tower(pixels, output_hidden_states=True, return_dict=True))
        if pooled:
            return core.apply_pooling(patches).unflatten(1, self.grid)
        side = math.isqrt(patches.shape[1])
        return patches.unflatten(1, (side, side))

    def _patches(self, output: Any) -> Tensor:
        """Features of the patches before the projector (frames,patches,Cq)."""
        layers = self.config.vision_feature_layer
        chosen = [output.hidden_states[layer] for layer in ([layers] if isinstance(layers, int) else layers)]
        features = torch.cat(chosen, dim=-1)
        return features[:, 1:] if self.config.vision_feature_select_strategy == "default" else features

    def join(self, videos: list[VideoTokens], layout: str) -> Tensor:
        flat = [self._lay(video, layout) for video in videos]
        if len({len(tokens) for tokens in flat}) == 1:
            return torch.stack(flat)
        # One entry a token: generate repeats whole entries, row by row, for beams and several return sequences.
        return torch.cat(flat).unsqueeze(1)

    def _lay(self, video: VideoTokens, layout: str) -> Tensor:
        if layout == "native":
            return torch.cat([video.tokens.flatten(0, 1), video.tail])
        rows = video.tokens.unflatten(1, video.grid)
        newline = video.tail[-1].expand(*rows.shape[:2], 1, -1)
        return torch.cat([rows, newline], dim=2).flatten(0, 2)
