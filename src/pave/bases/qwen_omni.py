"""The thinkers of Qwen2.5-Omni and Qwen3-Omni, which hear, too: their own sound goes its own way beside a patch.

They work out positions from the ids alone, so that a placeholder more would get a place in the video's grid.
"""

from __future__ import annotations

from pave.bases.grid import GridFamily, WindowedFamily

BESIDE = ("video_grid_thw", "video_second_per_grid")


class Qwen2_5Omni(WindowedFamily):  # noqa: N801
    """``Qwen2_5OmniThinkerForConditionalGeneration``."""

    beside = BESIDE


class Qwen3Omni(GridFamily):
    """``Qwen3OmniMoeThinkerForConditionalGeneration``, with features for the first layers as Qwen3-VL."""

    beside = BESIDE
