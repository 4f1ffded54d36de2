"""LFM3-VL: two frames a step, 2 x 2 patches a token merged in the projector, plain positions."""

from __future__ import annotations

from pave.bases.grid import GridFamily


class Lfm3VL(GridFamily):
    """``Lfm3VlForConditionalGeneration``."""

    vision_tower = "model.vision_tower"
    appends = True
