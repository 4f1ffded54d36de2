"""LFM3-VL and MiniMax M3: two frames a step, 2 x 2 patches a token merged in the projector, plain positions."""

from __future__ import annotations

from pave.bases.grid import GridFamily


class Lfm3VL(GridFamily):
    """``Lfm3VlForConditionalGeneration`` and ``MiniMaxM3SparseForConditionalGeneration``.

    The tower of the second looks at a whole clip at once, so a step's tokens depend on all steps.
    """

    vision_tower = "model.vision_tower"
