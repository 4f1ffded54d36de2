"""Qwen2.5-VL: two frames a step, 2 x 2 patches a token, windows in the tower, times through ``second_per_grid_ts``."""

from __future__ import annotations

from pave.bases.grid import WindowedFamily


class Qwen2_5VL(WindowedFamily):  # noqa: N801
    """``Qwen2_5_VLForConditionalGeneration``.

    Nothing fails where an input is missing that places its tokens in time and space; they are only misplaced.
    """

    beside = ("video_grid_thw", "mm_token_type_ids", "second_per_grid_ts")
    appends = True
