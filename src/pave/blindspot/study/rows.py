"""Rows of a study's tables: the runs that differ in their seed only, and what they score together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Run
from pave.errors import InputError
from pave.evaluation.statistics import clustered_interval, paired_interval

SEED_AXIS = "seed"
BOOTSTRAP_SEED = 0


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
        runs: The runs.
        found: Results of those that have one.
    """

    name: str
    labels: Mapping[str, str]
    runs: Sequence[Run]
    found: Sequence[Mapping[str, Any]]

    @property
    def evaluations(self) -> list[str]:
        """Names of its evaluations."""
        return [evaluation.name for evaluation in self.runs[0].evaluate]

    @property
    def is_whole(self) -> bool:
        """Whether every run has a result."""
        return len(self.found) == len(self.runs)

    def score(self, evaluation: str) -> Score | None:
        """Return what it scores in an evaluation; ``None`` if no run of it was made yet."""
        if not self.found:
            return None
        answers, clips = self._answers(evaluation)
        rates = answers.mean(axis=0)
        chance = self.found[0]["scores"][evaluation]["chance"]
        interval = clustered_interval(rates, clips, BOOTSTRAP_SEED)
        return Score(float(rates.mean()), interval, tuple(answers.mean(axis=1).tolist()), chance, len(rates))

    def difference(self, other: Row, evaluation: str, of_other: str | None = None) -> Score | None:
        """Return how much more it scores than another row on the same questions, which are compared in pairs.

        Args:
            other: The other row.
            evaluation: The evaluation.
            of_other: The other row's, if it has another name there.

        Raises:
            InputError: If the questions are not the same.
        """
        if not self.found or not other.found:
            return None
        mine, clips = self._answers(evaluation)
        its, others = other._answers(of_other or evaluation)
        if clips != others:
            raise InputError(f"rows {self.name} and {other.name} were not asked the same questions of {evaluation!r}")
        rates, rates_of_other = mine.mean(axis=0), its.mean(axis=0)
        interval = paired_interval(_counted(rates), _counted(rates_of_other), _mean, clips, BOOTSTRAP_SEED)
        seeds = tuple((mine.mean(axis=1) - its.mean()).tolist())
        return Score(float((rates - rates_of_other).mean()), interval, seeds, None, len(rates))

    def fact(self, *path: str) -> float | None:
        """Return the mean over its runs of a number in their results; ``None`` where it is not known."""
        values = [value for found in self.found if (value := _inside(found, path)) is not None]
        return float(np.mean(values)) if values else None

    def _answers(self, evaluation: str) -> tuple[np.ndarray, list[int]]:
        """Return what was right (seeds, questions), and the film of each question."""
        scores = [found["scores"][evaluation] for found in self.found]
        clips: list[int] = scores[0]["clips"]
        if any(score["clips"] != clips for score in scores):
            raise InputError(f"the runs of {self.name} were not asked the same questions of {evaluation!r}")
        return np.array([[int(mark) for mark in score["correct"]] for score in scores], dtype=np.float64), clips


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


def rows_of(runs: Sequence[Run], results: Results) -> list[Row]:
    """Return the rows of a plan, in its order.

    Raises:
        InputError: If a result is of another configuration.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        labels = {axis: value for axis, value in run.labels.items() if axis != SEED_AXIS} or {"run": run.name}
        groups.setdefault(tuple(labels.items()), []).append(run)
    return [
        Row(
            members[0].name.removesuffix(f"-{members[0].labels.get(SEED_AXIS)}"),
            dict(labels),
            members,
            [found for run in members if (found := results.find(run)) is not None],
        )
        for labels, members in groups.items()
    ]
