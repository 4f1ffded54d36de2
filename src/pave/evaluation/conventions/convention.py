"""A convention: one named way of scoring answers, with the numbers needed to bootstrap what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scored:
    """One answered sample as a scorer sees it.

    Args:
        id: Of the sample.
        prediction: The raw response, untouched.
        references: Gold answers, at least one.
        fields: The sample's extra fields as in the JSONL: question, choices, category, ...
    """

    id: str
    prediction: str
    references: tuple[str, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A number and what is needed to bootstrap it.

    Args:
        value: In the unit that the convention publishes.
        rows: Sufficient statistics, one row a sample (n,d).
        combine: Summed rows (d,) to the value.
    """

    value: float
    rows: np.ndarray
    combine: Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Convention:
    """A way of scoring.

    Args:
        name: As users type it.
        source: Where the rule comes from: project, file, paper.
        score: Samples to metrics by name; the first is the headline.
    """

    name: str
    source: str
    score: Callable[[Sequence[Scored]], dict[str, Metric]]
