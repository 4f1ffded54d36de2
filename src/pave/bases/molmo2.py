"""Molmo 2: a frame a step, blocks of patches pooled by attention, features added to those of the placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from pave.bases.family import Family
from pave.bases.layout import VideoShape, rows_of
from pave.bases.squares import square


class Molmo2(Family):
    """``Molmo2ForConditionalGeneration``; ``mm_token_type_ids`` let the tokens of frames see one another."""

    needs = ("video_token_pooling", "video_grids")
    beside = ("mm_token_type_ids",)
    appends = True
    placeholder = "image_patch_id"

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        return [(frames, (rows, columns)) for frames, rows, columns in inputs["video_grids"].tolist()]

    def batched(self, name: str, parts: Sequence[Tensor]) -> Any:
        if name != "video_token_pooling":
            return super().batched(name, parts)
        # Indices of patches count through the batch. Some token pools the last patch of each video.
        starts = accumulate([int(part.max()) + 1 for part in parts[:-1]], initial=0)
        moved = [torch.where(part < 0, part, part + start) for part, start in zip(parts, starts, strict=True)]
        return super().batched(name, moved)

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return the mean of the patches that each token pools; an index below 0 pads, and a token of none is none."""
        indices = inputs["video_token_pooling"].to(output.last_hidden_state.device)
        real = indices >= 0
        patches = rows_of(output.last_hidden_state)[indices.clamp(min=0)] * real.unsqueeze(-1)
        pooled = patches.sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)
        return pooled[real.any(dim=1)].to(output.last_hidden_state.dtype)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return square(output.last_hidden_state)
