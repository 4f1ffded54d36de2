"""Qwen2-VL: two frames a step, 2 x 2 patches a token, positions in time, height and width."""

from __future__ import annotations

from pave.bases.grid import GridFamily


class Qwen2VL(GridFamily):
    """``Qwen2VLForConditionalGeneration``; ``hidden_size`` of its tower is the width after merging."""

    beside = ("video_grid_thw", "mm_token_type_ids")
    appends = True
    vision_width = "vision_config.embed_dim"
