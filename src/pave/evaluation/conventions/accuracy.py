"""What every convention that is right or wrong sample by sample has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pave.evaluation.conventions.convention import Metric, Score, Scored, checked, mean_metric

Match = Callable[[Scored], bool]


def accuracy_score(match: Match) -> Score:
    """Return a scorer of ``accuracy``, the percentage of samples that match."""

    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        return {"accuracy": mean_metric(hits(match, samples))}

    return score


def hits(match: Match, samples: Sequence[Scored]) -> np.ndarray:
    """Return 1 for samples that match and 0 for others (n,); an empty prediction never does."""
    return np.array([float(not sample.empty and match(sample)) for sample in samples])


def plain(text: str) -> str:
    """Return a text trimmed, in lower case, without one full stop at its end."""
    return text.strip().lower().removesuffix(".").rstrip()
