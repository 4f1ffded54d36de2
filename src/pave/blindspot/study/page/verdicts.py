"""What a difference says: computed from its interval, never written by hand."""

from __future__ import annotations

from pave.blindspot.study.rows import Row, Score

GAIN = 0.40
"""By how much a patch is to beat tuning without its channel."""

JOINT_LOSS = 0.02
"""By how much a model of several channels may fall behind those of one."""

BOTH = 0.80
"""What patches that were trained apart are to reach together."""


def compared(difference: Score) -> str:
    """Return ``clearly better``, ``clearly worse`` or ``no clear difference``, by the 95 % interval."""
    low, high = difference.interval
    if low > 0:
        return "clearly better"
    if high < 0:
        return "clearly worse"
    return "no clear difference"


def is_no_worse(difference: Score) -> bool:
    """Whether a difference is not below 0 for sure."""
    return difference.interval[1] >= 0


def where_both_learned(own: Row, other: Row, evaluation: str) -> tuple[list[str], Row, Row]:
    """Return the seeds in which one of two rows has not learned what an evaluation asks, and both without them.

    A run that stayed at chance says that its method may fail, and nothing of what it is worth where it does not.
    """
    seeds = sorted({*own.unlearned(evaluation), *other.unlearned(evaluation)})
    return seeds, own.without(seeds), other.without(seeds)


def holds(claim: bool) -> str:
    """Return what is said of a claim."""
    return "holds" if claim else "does **not** hold"
