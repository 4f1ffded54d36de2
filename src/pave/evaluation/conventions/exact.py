"""Exact match after normalisation, of this project's own sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pave.evaluation.conventions.convention import Convention, Metric, Scored
from pave.evaluation.metrics import exact_match


def score(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return the share of answers, 0 to 1, that are one of their references."""
    right = [any(exact_match(sample.prediction, text) for text in sample.references) for sample in samples]
    rows = np.stack([np.array(right, dtype=np.float64), np.ones(len(right))], axis=1)
    return {"accuracy": Metric(float(rows[:, 0].mean()), rows, _mean)}


def _mean(row: np.ndarray) -> float:
    return float(row[0] / row[1])


EXACT = Convention("exact", "this project: lower case, no punctuation, single spaces, then equality", score)
