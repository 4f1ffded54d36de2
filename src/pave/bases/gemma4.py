"""Gemma 4: a frame a step, patches padded to one number a frame and averaged before the projector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig

from pave.bases.family import Family
from pave.bases.layout import VideoShape, rows_of


class Gemma4(Family):
    """``Gemma4ForConditionalGeneration``; its tower pools, so its features are one a token."""

    needs = ("video_position_ids", "num_frames_per_video")
    appends = True

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        if getattr(config.get_text_config(), "use_bidirectional_attention", None) == "vision":
            self.beside = ("mm_token_type_ids",)

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        pool = self.config.vision_config.pooling_kernel_size
        shapes, start = [], 0
        for frames in inputs["num_frames_per_video"].tolist():
            # Columns and rows of the patches of the video's first frame; all its frames are of one size.
            columns, rows = (inputs["video_position_ids"][start].amax(dim=0) + 1).tolist()
            shapes.append((frames, (rows // pool, columns // pool)))
            start += frames
        return shapes

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return rows_of(output.last_hidden_state)
