"""A convention: one named way of scoring answers, with the numbers needed to bootstrap what it finds."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pave.errors import InputError

logger = logging.getLogger(__name__)


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

    @property
    def empty(self) -> bool:
        """Whether the model said nothing."""
        return not self.prediction.strip()


@dataclass(frozen=True)
class Metric:
    """A number and what is needed to bootstrap it.

    Args:
        value: In the unit that the convention publishes.
        rows: Sufficient statistics, one row a sample (n,d); resampled rows are summed.
        combine: Summed rows (d,) to the value; NaN where nothing is left to divide by.
    """

    value: float
    rows: np.ndarray
    combine: Callable[[np.ndarray], float]


Score = Callable[[Sequence[Scored]], dict[str, Metric]]


def _no_check() -> None:
    return None


def _category(sample: Scored) -> str | None:
    category = sample.fields.get("category")
    return None if category is None else str(category)


@dataclass(frozen=True)
class Convention:
    """A way of scoring.

    Args:
        name: As users type it.
        source: Where the rule comes from: project, file, paper.
        score: Samples to metrics by name; the first is the headline. It raises :class:`pave.errors.InputError` if
            there are no samples, an id stands twice, or a sample has no reference.
        check: Call it before any work: it raises :class:`pave.errors.InputError` if something outside Python that
            ``score`` needs, such as Java, is not there.
        group: The kind that the source counts a sample to in its break-down, or ``None``.
    """

    name: str
    source: str
    score: Score
    check: Callable[[], object] = _no_check
    group: Callable[[Scored], str | None] = _category

    def check_samples(self, samples: Sequence[Scored]) -> None:
        """Check that samples have the fields that ``score`` reads, so that nothing is asked in vain.

        It scores them as they are. What needs something outside Python takes long, and reads texts alone.

        Raises:
            InputError: As ``score`` does.
        """
        if self.check is _no_check:
            self.score(samples)


def checked(score: Score) -> Score:
    """Make a scorer refuse samples that cannot be scored, and say how many predictions are empty for no known reason.

    Raises:
        InputError: If there are no samples, an id stands twice, or a sample has no reference.
    """

    @functools.wraps(score)
    def wrapper(samples: Sequence[Scored]) -> dict[str, Metric]:
        check_samples(samples)
        if empty := sum(sample.empty and not sample.fields.get("missing") for sample in samples):
            logger.warning("%d of %d predictions are empty; they count as wrong", empty, len(samples))
        return score(samples)

    return wrapper


def check_samples(samples: Sequence[Scored]) -> None:
    """Check that samples can be scored.

    Raises:
        InputError: If there are none, an id stands twice, or one has no reference; the message names it.
    """
    if not samples:
        raise InputError("there are no samples to score; give at least one")
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise InputError(f"sample {sample.id!r} stands twice; give every id once")
        seen.add(sample.id)
        if isinstance(sample.references, str) or not any(text.strip() for text in sample.references):
            raise InputError(
                f"sample {sample.id!r} has no reference; score a split whose answers are public, or leave it out"
            )


def mean_metric(scores: Sequence[float] | np.ndarray, unit: float = 100.0) -> Metric:
    """Return the mean of per-sample scores, times ``unit``."""
    return ratio_metric(scores, np.ones(len(scores)), unit)


def ratio_metric(
    hits: Sequence[float] | np.ndarray, counts: Sequence[float] | np.ndarray, unit: float = 100.0
) -> Metric:
    """Return summed ``hits`` over summed ``counts``, times ``unit``."""
    rows = np.stack([np.asarray(hits, dtype=np.float64), np.asarray(counts, dtype=np.float64)], axis=1)
    return from_rows(rows, functools.partial(_ratio, unit=unit))


def macro_metric(scores: Sequence[float] | np.ndarray, groups: Sequence[str], unit: float = 100.0) -> Metric:
    """Return the unweighted mean of the groups' mean scores, times ``unit``; groups without a sample do not count."""
    numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
    members = np.zeros((len(groups), len(numbers)))
    members[np.arange(len(groups)), [numbers[group] for group in groups]] = 1.0
    rows = np.concatenate([members * np.asarray(scores, dtype=np.float64)[:, None], members], axis=1)
    return from_rows(rows, functools.partial(_macro, unit=unit))


def from_rows(rows: np.ndarray, combine: Callable[[np.ndarray], float]) -> Metric:
    """Return the metric that ``combine`` makes of rows (n,d)."""
    return Metric(combine(rows.sum(axis=0)), rows, combine)


def _ratio(summed: np.ndarray, unit: float) -> float:
    return unit * float(summed[0] / summed[1]) if summed[1] else float("nan")


def _macro(summed: np.ndarray, unit: float) -> float:
    hits, counts = np.split(summed, 2)
    present = counts > 0
    return unit * float(np.mean(hits[present] / counts[present])) if present.any() else float("nan")
