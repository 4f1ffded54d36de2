"""Rows of a study's tables: the runs that differ in their seed only, and what they score together."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Run
from pave.errors import InputError
from pave.evaluation.statistics import clustered_interval, paired_interval

SEED_AXIS = "seed"
BOOTSTRAP_SEED = 0
LEARNED = 0.5
"""How far from chance to all right a run is to come that counts as one that has learned."""

STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)
"""Two-sided 95 % points of Student's t at 1, 2, ... degrees of freedom; the last is safe for more."""


@dataclass(frozen=True)
class Score:
    """Accuracy of a row in one evaluation, or a difference of two.

    Args:
        value: Mean over questions and seeds.
        interval: 95 % interval, by bootstrap over films; a film's questions and its seeds stay together.
        seeds: The value of each seed.
        chance: Accuracy of the best guess without the channel, if known.
        n: Questions.
    """

    value: float
    interval: tuple[float, float]
    seeds: tuple[float, ...]
    chance: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seed only.

    Args:
        name: Name of the row.
        labels: Axis to value, without the seed.
        runs: The runs; none of a row that the plan no longer has.
        found: Results of those that have one.
    """

    name: str
    labels: Mapping[str, str]
    runs: Sequence[Run]
    found: Sequence[Mapping[str, Any]]
    _scores: dict[str, Score] = field(default_factory=dict, repr=False, compare=False)

    @property
    def evaluations(self) -> list[str]:
        """Names of its evaluations."""
        return [evaluation.name for evaluation in self.runs[0].evaluate]

    @property
    def trained_weights(self) -> float | None:
        """Weights that are trained, of patches and LoRAs."""
        parts = [self.fact("cost", "trained_weights", part) for part in ("patch", "lora")]
        return None if None in parts else sum(part for part in parts if part is not None)

    def score(self, evaluation: str) -> Score | None:
        """Return what it scores in an evaluation; ``None`` if no run of it was made yet."""
        if not self.found:
            return None
        if evaluation not in self._scores:
            self._scores[evaluation] = self._scored(evaluation)
        return self._scores[evaluation]

    def _scored(self, evaluation: str) -> Score:
        answers, clips = self._answers(evaluation)
        rates = answers.mean(axis=0)
        chance = self.found[0]["scores"][evaluation]["chance"]
        interval = clustered_interval(rates, clips, BOOTSTRAP_SEED)
        return Score(float(rates.mean()), interval, tuple(answers.mean(axis=1).tolist()), chance, len(rates))

    def difference(
        self, other: Row, evaluation: str | Sequence[str], of_other: str | Sequence[str] | None = None
    ) -> Score | None:
        """Return how much more it scores than another row on the same questions, which are compared in pairs.

        Args:
            other: The other row.
            evaluation: The evaluation, or several of the same questions, whose mean is compared.
            of_other: The other row's, if it has another name there.

        Raises:
            InputError: If the questions are not the same.
        """
        if not self.found or not other.found:
            return None
        mine, its, clips = self._paired(other, evaluation, of_other or evaluation)
        seeds = tuple((mine.mean(axis=1) - its.mean()).tolist())
        return _difference(mine.mean(axis=0), its.mean(axis=0), clips, seeds)

    def interval_over_seeds(self, other: Row, evaluation: str | Sequence[str]) -> tuple[float, float] | None:
        """Return the 95 % interval, by Student's t, of how much more other seeds would score than another row's.

        Films are the same. ``None`` if a row has no result, or no row has two.

        Args:
            other: The other row.
            evaluation: The evaluation, or several of the same questions, whose mean is compared.
        """
        if not self.found or not other.found or len(self.found) + len(other.found) < 3:
            return None
        mine, its = (row._answers(evaluation)[0].mean(axis=1) for row in (self, other))
        freedom = len(mine) + len(its) - 2
        squares = sum(float(((seeds - seeds.mean()) ** 2).sum()) for seeds in (mine, its))
        error = STUDENT[min(freedom, len(STUDENT)) - 1] * math.sqrt(squares / freedom * (1 / len(mine) + 1 / len(its)))
        difference = float(mine.mean() - its.mean())
        return difference - error, difference + error

    def unlearned(self, evaluation: str) -> list[str]:
        """Return the seeds of runs that have not learned what an evaluation asks: that stayed nearer to chance."""
        score = self.score(evaluation)
        if score is None or score.chance is None:
            return []
        least = score.chance + LEARNED * (1 - score.chance)
        seeds = [found["labels"].get(SEED_AXIS, "") for found in self.found]
        return [seed for seed, value in zip(seeds, score.seeds, strict=True) if value < least]

    def without(self, seeds: Collection[str]) -> Row:
        """Return this row without the results of some seeds."""
        found = [found for found in self.found if found["labels"].get(SEED_AXIS) not in seeds]
        return Row(self.name, self.labels, self.runs, found)

    def fact(self, *path: str) -> float | None:
        """Return the mean over its runs of a number in their results; ``None`` where it is not known."""
        values = [value for found in self.found if (value := _inside(found, path)) is not None]
        return float(np.mean(values)) if values else None

    def _paired(
        self, other: Row, evaluation: str | Sequence[str], of_other: str | Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray, list[int]]:
        mine, clips = self._answers(evaluation)
        its, others = other._answers(of_other)
        if clips != others:
            raise InputError(f"rows {self.name} and {other.name} were not asked the same questions of {evaluation!r}")
        return mine, its, clips

    def _answers(self, evaluation: str | Sequence[str]) -> tuple[np.ndarray, list[int]]:
        """Return what was right (seeds, questions), and the film of each question."""
        if not isinstance(evaluation, str):
            answers, films = zip(*(self._answers(name) for name in evaluation), strict=True)
            if any(clips != films[0] for clips in films):
                raise InputError(
                    f"the evaluations {', '.join(evaluation)} of {self.name} are not of the same questions"
                )
            return np.mean(answers, axis=0), films[0]
        scores = [found["scores"][evaluation] for found in self.found]
        clips: list[int] = scores[0]["clips"]
        if any(score["clips"] != clips for score in scores):
            raise InputError(f"the runs of {self.name} were not asked the same questions of {evaluation!r}")
        return np.array([[int(mark) for mark in score["correct"]] for score in scores], dtype=np.float64), clips


def pooled_difference(pairs: Sequence[tuple[Row, Row]], evaluation: str | Sequence[str]) -> Score | None:
    """Return the mean difference of several pairs of rows, each on questions of its own; ``None`` without any.

    Raises:
        InputError: If the rows of a pair were not asked the same questions.
    """
    rates, rates_of_others, clips = [], [], []
    for own, other in pairs:
        if own.found and other.found:
            mine, its, films = own._paired(other, evaluation, evaluation)
            first = max(clips, default=-1) + 1
            rates.append(mine.mean(axis=0))
            rates_of_others.append(its.mean(axis=0))
            clips += [first + film for film in films]
    return _difference(np.concatenate(rates), np.concatenate(rates_of_others), clips, ()) if rates else None


def _difference(
    rates: np.ndarray, rates_of_other: np.ndarray, clips: Sequence[int], seeds: tuple[float, ...]
) -> Score:
    interval = paired_interval(_counted(rates), _counted(rates_of_other), _mean, clips, BOOTSTRAP_SEED)
    return Score(float((rates - rates_of_other).mean()), interval, seeds, None, len(rates))


def _counted(rates: np.ndarray) -> np.ndarray:
    return np.stack([rates, np.ones_like(rates)], axis=1)


def _mean(row: np.ndarray) -> float:
    return float(row[0] / row[1])


def _inside(found: Any, path: Sequence[str]) -> float | None:
    for step in path:
        if not isinstance(found, Mapping) or found.get(step) is None:
            return None
        found = found[step]
    return float(found)


@dataclass(frozen=True)
class Study:
    """A plan with the results that are there.

    Args:
        name: Name of the plan.
        about: What it is to show.
        rows: Its rows.
    """

    name: str
    about: str
    rows: Sequence[Row]

    def find(self, **labels: str) -> Row:
        """Return the one row with these values on its axes."""
        found = [row for row in self.rows if labels.items() <= dict(row.labels).items()]
        if len(found) != 1:
            raise InputError(f"study {self.name}: {len(found)} rows have {labels}; the page needs one")
        return found[0]

    def named(self, name: str) -> Row:
        """Return the row of a name."""
        return next(row for row in self.rows if row.name == name)

    def values(self, axis: str) -> list[str]:
        """Return the values of an axis, in the plan's order."""
        return list(dict.fromkeys(row.labels[axis] for row in self.rows if axis in row.labels))


def rows_of(runs: Sequence[Run], results: Results) -> list[Row]:
    """Return the rows of a plan, in its order.

    Raises:
        InputError: If a result is of another configuration.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.name.removesuffix(f"-{run.labels.get(SEED_AXIS)}"), []).append(run)
    return [
        Row(
            name,
            {axis: value for axis, value in members[0].labels.items() if axis != SEED_AXIS},
            members,
            [found for run in members if (found := results.find(run)) is not None],
        )
        for name, members in groups.items()
    ]
