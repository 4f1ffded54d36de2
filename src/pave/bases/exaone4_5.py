"""EXAONE 4.5: the tower of Qwen2.5-VL, plain positions."""

from __future__ import annotations

from pave.bases.grid import WindowedFamily


class Exaone4_5(WindowedFamily):  # noqa: N801
    """``Exaone4_5_ForConditionalGeneration``; nothing must stay beside its video tokens."""

    appends = True
