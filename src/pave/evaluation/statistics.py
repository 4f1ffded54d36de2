"""Confidence intervals that know that questions about one video are not independent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

RESAMPLES = 2000
BLOCK = 2**22
"""Drawn clusters held at once, so that large sets do not need large memory."""


def clustered_interval(
    scores: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean, resampling whole clusters.

    Args:
        scores: One score a sample.
        clusters: What each sample shares with others, such as its video.
        seed: Of the resampling.
        confidence: Probability that the interval is to hold.
        resamples: How often the clusters are drawn anew.

    Raises:
        ValueError: If there are no scores, or not as many clusters as scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0 or values.size != len(clusters):
        raise ValueError(
            f"{values.size} scores with {len(clusters)} clusters; give one cluster a score, and at least one"
        )
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    members = np.array([numbers[cluster] for cluster in clusters])
    totals = np.bincount(members, weights=values)
    sizes = np.bincount(members)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, BLOCK // len(totals))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(len(totals), size=(count, len(totals)))
        means[start : start + count] = totals[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
