"""VideoLLaMA3: a frame a step, tokens merged inside the tower, and those that hardly change are dropped later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from pave.bases.grid import GridFamily
from pave.bases.layout import VideoShape, rows_of
from pave.bases.lengthen import Lengthened
from pave.errors import InputError
from pave.types import VideoTokens


class VideoLlama3(GridFamily):
    """``VideoLlama3ForConditionalGeneration``.

    A patch acts on the full grid; ``video_compression_mask`` then tells which of the patched tokens the language model
    sees, and only those have placeholders.
    """

    needs = ("video_grid_thw", "video_merge_sizes")
    vision_tower = "model.vision_model"
    appends = True

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.frames_per_step = 1

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        grids, merges = inputs["video_grid_thw"].tolist(), inputs["video_merge_sizes"].tolist()
        return [
            (steps, (height // merge, width // merge))
            for (steps, height, width), merge in zip(grids, merges, strict=True)
        ]

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return rows_of(output.last_hidden_state)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return self.merged(core, output, inputs)

    def place_counts(self, shapes: Sequence[VideoShape], layout: str, inputs: Mapping[str, Any]) -> list[int]:
        sizes = super().place_counts(shapes, layout, inputs)
        mask = inputs.get("video_compression_mask")
        if mask is None:
            return sizes
        if mask.numel() != sum(sizes):
            raise InputError(
                f"video_compression_mask has {mask.numel()} entries for videos of {sizes} tokens; give one a token"
            )
        return [int(part.sum()) for part in mask.flatten().split(sizes)]

    def lengthen(
        self, inputs: Mapping[str, Any], videos: Sequence[VideoTokens], layout: str
    ) -> tuple[dict[str, Any], Lengthened | None]:
        longer, lengthened = super().lengthen(inputs, videos, layout)
        mask = inputs.get("video_compression_mask")
        if lengthened is not None and mask is not None:
            parts = mask.flatten().split([video.tokens[..., 0].numel() for video in videos])
            pairs = zip(parts, videos, strict=True)
            added = [
                [part] if video.appended is None else [part, part.new_ones(len(video.appended))]
                for part, video in pairs
            ]
            longer["video_compression_mask"] = torch.cat([part for parts in added for part in parts])
        return longer, lengthened
