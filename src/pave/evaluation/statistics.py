"""Confidence intervals that know that questions about one video are not independent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

RESAMPLES = 2000
BLOCK = 2**22
"""Numbers drawn at once, so that large sets do not need large memory."""

Combine = Callable[[np.ndarray], float]


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
    rows = np.stack([values, np.ones_like(values)], axis=1)
    return metric_interval(rows, _mean, clusters, seed, confidence, resamples)


def metric_interval(
    rows: np.ndarray,
    combine: Combine,
    clusters: Sequence[Hashable],
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of any metric, resampling whole clusters.

    Args:
        rows: Sufficient statistics, one row a sample (n,d).
        combine: Summed rows (d,) to the metric.
        clusters: What each sample shares with others, such as its video.
        seed: Of the resampling.
        confidence: Probability that the interval is to hold.
        resamples: How often the clusters are drawn anew.

    Raises:
        ValueError: If there are no rows, or not as many clusters as rows.
    """
    drawn = [combine(row) for row in _resampled(rows, clusters, seed, resamples)]
    return _percentiles(drawn, confidence)


def paired_interval(
    rows: np.ndarray,
    others: np.ndarray,
    combine: Combine,
    clusters: Sequence[Hashable],
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of ``combine(rows) - combine(others)`` over the same samples.

    Each draw takes the same clusters of both, so that what makes a video easy for both does not count as doubt.

    Args:
        rows: Sufficient statistics of one model (n,d).
        others: Those of another on the same samples (n,d).
        combine: Summed rows (d,) to the metric.
        clusters: What each sample shares with others, such as its video.
        seed: Of the resampling.
        confidence: Probability that the interval is to hold.
        resamples: How often the clusters are drawn anew.

    Raises:
        ValueError: If there are no rows, or shapes differ.
    """
    if rows.shape != others.shape:
        raise ValueError(f"rows of shape {rows.shape} and {others.shape} cannot be paired; score the same samples")
    width = rows.shape[1]
    both = np.concatenate([rows, others], axis=1)
    drawn = [combine(row[:width]) - combine(row[width:]) for row in _resampled(both, clusters, seed, resamples)]
    return _percentiles(drawn, confidence)


def _resampled(rows: np.ndarray, clusters: Sequence[Hashable], seed: int, resamples: int) -> Iterator[np.ndarray]:
    """Yield the summed rows (d,) of as many clusters as there are, drawn with replacement, again and again."""
    rows = np.asarray(rows, dtype=np.float64)
    if not len(rows) or len(rows) != len(clusters):
        raise ValueError(
            f"{len(rows)} scores with {len(clusters)} clusters; give one cluster a score, and at least one"
        )
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    totals = np.zeros((len(numbers), rows.shape[1]))
    np.add.at(totals, [numbers[cluster] for cluster in clusters], rows)
    rng = np.random.default_rng(seed)
    count = max(1, BLOCK // totals.size)
    for start in range(0, resamples, count):
        drawn = rng.integers(len(totals), size=(min(count, resamples - start), len(totals)))
        yield from totals[drawn].sum(axis=1)


def _percentiles(drawn: Sequence[float], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    values = np.asarray(drawn, dtype=np.float64)
    # A draw may leave nothing that a metric counts, such as no answer that could be read.
    counted = values[~np.isnan(values)]
    low, high = np.quantile(counted, [tail, 1 - tail]) if len(counted) else (np.nan, np.nan)
    return float(low), float(high)


def _mean(row: np.ndarray) -> float:
    return float(row[0] / row[1])
