"""Numbers as JSON and as text, those that are none included: an accuracy over no answers at all is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

NONE = "–"
"""Stands for no number in tables."""


def plain(content: Any) -> Any:
    """Return content in JSON's own types; NaN, which JSON does not know, becomes ``null``."""
    return json.loads(json.dumps(content, default=str), parse_constant=lambda name: None)


def number(value: float | None) -> float:
    """Return a number as :func:`plain` wrote it; ``null`` is NaN again."""
    return math.nan if value is None else value


def figure(value: float | None, sign: str = "") -> str:
    """Return a number in four digits, :data:`NONE` if there is none.

    Args:
        value: The number.
        sign: ``+`` to write it before positive numbers, too.
    """
    return NONE if math.isnan(number(value)) else f"{value:{sign}.4g}"


def span(interval: Sequence[float | None], sign: str = "") -> str:
    """Return an interval as "low to high"."""
    low, high = interval
    return f"{figure(low, sign)} to {figure(high, sign)}"
