"""Kimi K2.5: a video is cut into chunks of a few frames, and each chunk is the mean of its frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pave.bases.squares import block_means
from pave.bases.undivided import Step, UndividedFamily


class KimiK25(UndividedFamily):
    """``Kimi_K25ForConditionalGeneration``; a step is a chunk, a row of ``video_grid_thw``."""

    needs = ("video_grid_thw",)

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        rows, columns = self.config.vision_config.merge_kernel_size
        return [
            Step(frames, (height // rows, width // columns))
            for frames, height, width in inputs["video_grid_thw"].tolist()
        ]

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        size = self.config.vision_config.merge_kernel_size[0]
        return torch.cat([block_means(chunk, size).flatten(0, 2) for chunk in self._chunks(output, inputs)])

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return torch.cat(self._chunks(output, inputs))

    def _chunks(self, output: Any, inputs: Mapping[str, Any]) -> list[Tensor]:
        """Return the features of each chunk, the mean over its frames (1,rows,columns,Cq)."""
        grids = inputs["video_grid_thw"]
        chunks = output.last_hidden_state.reshape(-1, output.last_hidden_state.shape[-1]).split(
            grids.prod(dim=1).tolist()
        )
        return [
            chunk.view(frames, rows, columns, -1).mean(dim=0, keepdim=True)
            for chunk, (frames, rows, columns) in zip(chunks, grids.tolist(), strict=True)
        ]
