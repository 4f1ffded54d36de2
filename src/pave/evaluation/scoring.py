"""From responses to numbers: a convention's metrics with intervals, exact matches, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.conventions.convention import Metric, Scored
from pave.evaluation.responses import Response, references_of, response_to
from pave.evaluation.statistics import clustered_interval, metric_interval
from pave.types import Sample

OWN_SETS = "blindspot"
"""Benchmark whose conventions score a set that names none."""


@dataclass(frozen=True)
class Scoring:
    """How responses become numbers.

    Args:
        benchmark: Whose conventions are meant.
        convention: One of them.
        seed: Of the bootstrap.
        skip_missing: Leave samples whose media lack out of the scores; otherwise they count as wrong.

    Raises:
        InputError: If the seed is below 0.
    """

    benchmark: str = OWN_SETS
    convention: str = "exact"
    seed: int = 0
    skip_missing: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must be 0 or more")


def scoring_of(
    samples: Sequence[Sample | Response], name: str | None, convention: str | None, seed: int, skip_missing: bool
) -> Scoring:
    """Return how samples are scored: by the benchmark that they name, and its first convention unless one is given.

    Args:
        samples: What is scored.
        name: The benchmark, if the user named one.
        convention: The convention, if the user named one.
        seed: Of the bootstrap.
        skip_missing: As in :class:`Scoring`.

    Raises:
        InputError: If benchmark or convention is unknown, something that it needs is not installed, or samples are of
            another benchmark than named.
    """
    named = sorted({str(found) for sample in samples if (found := sample.extra.get("benchmark")) is not None})
    if len(named) > 1:
        raise InputError(f"the data mixes the benchmarks {', '.join(named)}; evaluate one at a time")
    if name is not None and named not in ([], [name]):
        raise InputError(f"the data is of benchmark {named[0]!r}, not {name!r}; name the one that was prepared")
    benchmark = name or (named[0] if named else OWN_SETS)
    chosen = convention or conventions.names(benchmark)[0]
    conventions.get(benchmark, chosen).check()
    return Scoring(benchmark, chosen, seed, skip_missing)


def check_scorable(samples: Sequence[Sample], scoring: Scoring) -> None:
    """Check that answers to samples can be scored, as if each were answered right, before anything is asked.

    Raises:
        InputError: If a sample lacks a field that the convention reads; the message names it.
    """
    answered = [response_to(sample, references_of(sample)[0]) for sample in samples]
    conventions.get(scoring.benchmark, scoring.convention).check_samples(as_scored(answered))


def metrics_of(responses: Sequence[Response], scoring: Scoring) -> dict[str, Metric]:
    """Return a convention's metrics over responses, the headline first; what lacks a medium scores nothing."""
    found = conventions.get(scoring.benchmark, scoring.convention).score(as_scored(responses))
    missing = np.array([response.is_missing for response in responses])
    return {name: _without_credit(metric, missing) for name, metric in found.items()} if missing.any() else found


def as_scored(responses: Sequence[Response]) -> list[Scored]:
    """Return responses as conventions take them; ids that several data sets use are told apart."""
    used: Counter[str] = Counter()
    samples = []
    for response in responses:
        used[response.id] += 1
        name = response.id if used[response.id] == 1 else f"{response.id} #{used[response.id]}"
        fields = {"question": response.question, **response.extra}
        samples.append(Scored(name, response.prediction, response.references, fields))
    return samples


def _without_credit(metric: Metric, missing: np.ndarray) -> Metric:
    """Make sure of it that an empty answer to a question that was never asked is wrong, and counts.

    A lenient matcher may find nothing in everything, or leave what it cannot parse out of its mean. Metrics that are
    not means of scores take the empty answer as it is.
    """
    if metric.rows.ndim != 2 or metric.rows.shape[1] != 2 or not np.isin(metric.rows[:, 1], (0, 1)).all():
        return metric
    rows = np.array(metric.rows, dtype=np.float64)
    rows[missing] = (0, 1)
    return replace(metric, rows=rows, value=float(metric.combine(rows.sum(axis=0))))


def kept(responses: Sequence[Response], scoring: Scoring) -> list[Response]:
    """Return the responses that count.

    Raises:
        InputError: If there is none.
    """
    left = [response for response in responses if not (scoring.skip_missing and response.is_missing)]
    if not left or all(response.is_missing for response in responses):
        lacking = ", ".join(responses[0].extra.get("missing", [])) if responses else "nothing"
        raise InputError(f"all {len(responses)} samples lack media (the first: {lacking}); check the data set's paths")
    return left


def score(responses: Sequence[Response], scoring: Scoring, unreferenced: int = 0) -> dict[str, Any]:
    """Return all numbers over responses, by the names of :class:`pave.evaluation.result.EvalResult`.

    Args:
        responses: One or more.
        scoring: How they are scored.
        unreferenced: Samples that were left out before, having no answer to compare with.

    Raises:
        InputError: If every sample lacks media.
    """
    counted = kept(responses, scoring)
    metrics = metrics_of(counted, scoring)
    missing = sum(response.is_missing for response in responses)
    skipped = {"no answer": unreferenced, "missing media": missing if scoring.skip_missing else 0}
    absent = Counter(channel for response in counted for channel in response.absent)
    return {
        **matches(counted, scoring.seed),
        "skipped": sum(skipped.values()),
        "skipped_reasons": {reason: count for reason, count in skipped.items() if count},
        "missing": missing,
        "empty": sum(not response.prediction.strip() for response in counted if not response.is_missing),
        "by_form": matches_by(counted, "form", scoring.seed),
        "by_track": matches_by(counted, "track", scoring.seed),
        "by_category": by_category(counted, metrics, scoring),
        "absent": dict(absent),
        "benchmark": scoring.benchmark,
        "convention": scoring.convention,
        "metrics": {name: _with_interval(metric, counted, scoring.seed) for name, metric in metrics.items()},
        "seed": scoring.seed,
    }


def clusters_of(responses: Sequence[Response]) -> list[Hashable]:
    """Return what each response shares with others."""
    return [response.cluster for response in responses]


def matches(responses: Sequence[Response], seed: int) -> dict[str, Any]:
    """Return share of exact matches, its interval, n and chance of some responses; at least one."""
    correct = np.array([response.correct for response in responses], dtype=np.float64)
    blind = [response.extra["blind"] for response in responses if response.extra.get("blind") is not None]
    return {
        "accuracy": float(correct.mean()),
        "interval": clustered_interval(correct, clusters_of(responses), seed),
        "n": len(responses),
        "chance": float(np.mean(blind)) if len(blind) == len(responses) else None,
    }


def matches_by(responses: Sequence[Response], name: str, seed: int) -> dict[str, dict[str, Any]]:
    """Return :func:`matches` for each value of the samples' field ``name``, sorted; those without it are left out."""
    values = [response.extra.get(name) for response in responses]
    return {value: matches([responses[place] for place in places], seed) for value, places in _groups(values).items()}


def by_category(
    responses: Sequence[Response], metrics: Mapping[str, Metric], scoring: Scoring
) -> dict[str, dict[str, Any]]:
    """Return value, interval and n of the headline metric for each kind of sample that the convention tells apart."""
    headline = next(iter(metrics.values()))
    group = conventions.get(scoring.benchmark, scoring.convention).group
    found = {}
    for category, places in _groups([group(sample) for sample in as_scored(responses)]).items():
        rows = headline.rows[places]
        part = Metric(float(headline.combine(rows.sum(axis=0))), rows, headline.combine)
        members = [responses[place] for place in places]
        found[category] = {**_with_interval(part, members, scoring.seed), "n": len(places)}
    return found


def _with_interval(metric: Metric, responses: Sequence[Response], seed: int) -> dict[str, Any]:
    interval = metric_interval(metric.rows, metric.combine, clusters_of(responses), seed)
    return {"value": float(metric.value), "interval": interval}


def _groups(values: Sequence[Any]) -> dict[str, list[int]]:
    """Return the places of each value, sorted by value."""
    groups: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        if value is not None:
            groups.setdefault(str(value), []).append(place)
    return {value: groups[value] for value in sorted(groups)}
