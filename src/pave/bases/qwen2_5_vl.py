"""Qwen2.5-VL: two frames a step, 2 x 2 patches a token, windows in the tower, times through ``second_per_grid_ts``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.vision_utils import get_vision_window_index

from pave.bases.family import Family, unplaced
from pave.errors import InputError
from pave.types import VideoTokens


class Qwen2_5VL(Family):  # noqa: N801
    """``Qwen2_5_VLForConditionalGeneration``.

    Features before the projector are the mean of the patches that one token merges. A frame by itself is a video of
    its own, shown twice, as the base sees a picture.
    """

    vision_tower = "model.visual"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.frames_per_step = int(config.vision_config.temporal_patch_size)
        self.merge = int(config.vision_config.spatial_merge_size)

    @property
    def vision_dim(self) -> int:
        return int(self.config.vision_config.hidden_size)

    @property
    def placeholder_id(self) -> int:
        return int(self.config.video_token_id)

    def shapes(self, inputs: Mapping[str, Any]) -> list[tuple[int, tuple[int, int]]]:
        grids = inputs["video_grid_thw"].tolist()
        return [(steps, (height // self.merge, width // self.merge)) for steps, height, width in grids]

    def split(self, core: nn.Module, output: Any, inputs: Mapping[str, Any], vision: bool) -> list[VideoTokens]:
        if inputs.get("mm_token_type_ids") is None:
            raise InputError(
                "inputs lack mm_token_type_ids, without which Qwen2.5-VL misplaces its tokens; pass them on"
            )
        grids = inputs["video_grid_thw"]
        sizes = [tokens.shape[0] for tokens in output.pooler_output]
        raw = self._vision(output.last_hidden_state, grids).split(sizes) if vision else [None] * len(sizes)
        videos = []
        for tokens, features, (steps, height, width) in zip(output.pooler_output, raw, grids.tolist(), strict=True):
            grid = (height // self.merge, width // self.merge)
            features = None if features is None else features.unflatten(0, (steps, -1))
            videos.append(unplaced(tokens.unflatten(0, (steps, -1)), features, tokens[:0], grid))
        return videos

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        return dict(processor(list(frames.split(1)), do_sample_frames=False, return_tensors="pt"))

    def frame_features(self, core: Any, inputs: Mapping[str, Tensor], pooled: bool) -> Tensor:
        grids = inputs["video_grid_thw"]
        hidden = core.get_video_features(**inputs, return_dict=True).last_hidden_state
        rows, columns = grids[0, 1] // self.merge, grids[0, 2] // self.merge
        if pooled:
            return self._vision(hidden, grids).view(len(grids), rows, columns, -1)
        patches = self._merged_groups(hidden, grids).view(len(grids), rows, columns, self.merge, self.merge, -1)
        return patches.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _vision(self, hidden: Tensor, grids: Tensor) -> Tensor:
        """Mean over the patches of each token (tokens,Cq)."""
        return self._merged_groups(hidden, grids).mean(dim=1)

    def _merged_groups(self, hidden: Tensor, grids: Tensor) -> Tensor:
        """Patches of each token (tokens,patches,Cq) in the order of tokens; the tower leaves them in window order."""
        tower = self.config.vision_config
        order, _ = get_vision_window_index(grids, self.merge, tower.window_size, tower.patch_size)
        return hidden.unflatten(0, (-1, self.merge**2))[torch.argsort(order).to(hidden.device)]

    def join(self, videos: list[VideoTokens], layout: str) -> tuple[Tensor, ...]:
        return tuple(video.tokens.flatten(0, 1) for video in videos)
