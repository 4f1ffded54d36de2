"""MiniCPM-V 4.6: each frame a strip of patches of its own size, merged in the tower and again after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pave.bases.squares import block_means
from pave.bases.undivided import Step, UndividedFamily


class MiniCPMV(UndividedFamily):
    """``MiniCPMV4_6ForConditionalGeneration``; in mode ``4x`` its tower merges nothing."""

    needs = ("target_sizes_videos",)
    axes = {"pixel_values_videos": -1}

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        mode = inputs.get("downsample_mode") or self.config.downsample_mode
        side = 2 if mode == "4x" else 4
        return [Step(1, (height // side, width // side)) for height, width in inputs["target_sizes_videos"].tolist()]

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return torch.cat([block_means(frame, 2).flatten(0, 2) for frame in self._frames(output, inputs)])

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return torch.cat(self._frames(output, inputs))

    def _frames(self, output: Any, inputs: Mapping[str, Any]) -> list[Tensor]:
        """Return the features of each frame (1,2 * rows,2 * columns,Cq)."""
        grids = [step.grid for step in self.steps(inputs)]
        frames = output.last_hidden_state[0].split([4 * rows * columns for rows, columns in grids])
        return [frame.view(1, 2 * rows, 2 * columns, -1) for frame, (rows, columns) in zip(frames, grids, strict=True)]
