"""Families whose inputs say the patches of each video: steps, height and width in ``video_grid_thw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from pave.bases.family import Family
from pave.bases.layout import VideoShape, rows_of


class GridFamily(Family):
    """Patches in the order of tokens, a square of neighbouring ones a token.

    Features before the projector are the mean of the patches that one token merges. A frame by itself is a video of
    its own.
    """

    needs = ("video_grid_thw",)
    vision_tower = "model.visual"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.frames_per_step = int(getattr(config.vision_config, "temporal_patch_size", 1))
        self.merge = int(getattr(config.vision_config, "spatial_merge_size", 1))

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        grids = inputs["video_grid_thw"].tolist()
        return [(steps, (height // self.merge, width // self.merge)) for steps, height, width in grids]

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return self.groups(output, inputs).mean(dim=1)

    def groups(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return the patches of each token (tokens,patches,Cq), in the order of tokens."""
        return rows_of(output.last_hidden_state).unflatten(0, (-1, self.merge**2))

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        rows, columns = self.shapes(inputs)[0][1]
        groups = self.groups(output, inputs).unflatten(1, (self.merge, self.merge)).unflatten(0, (-1, rows, columns))
        return groups.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class WindowedFamily(GridFamily):
    """The same with a tower that works, and leaves its patches, in the order of attention windows."""

    def groups(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        # Releases without the seam lack this function; they are told the version that they need, not this.
        from transformers.vision_utils import get_vision_window_index

        tower, grids = self.config.vision_config, inputs["video_grid_thw"]
        order, _ = get_vision_window_index(grids, self.merge, tower.window_size, tower.patch_size)
        groups = super().groups(output, inputs)
        return groups[torch.argsort(order).to(groups.device)]
