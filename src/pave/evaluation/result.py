"""What an evaluation found: every answer, the scores over them, and all that decided them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pave.evaluation.statistics import clustered_interval
from pave.files import check_vacant, whole_folder

RESULT_FILE = "result.json"
RESPONSES_FILE = "responses.jsonl"


@dataclass(frozen=True)
class Response:
    """One answered question.

    Args:
        id: Of the sample.
        question: As asked.
        answer: The reference.
        prediction: The model's answer.
        correct: Whether they match.
        cluster: What the sample shares with others: its video, or its own id.
        extra: Every other field of the sample; ``blind``, ``form`` and ``track`` among them are scored by.
    """

    id: str
    question: str
    answer: str
    prediction: str
    correct: bool
    cluster: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvalResult:
    """Scores of one model on one set of samples.

    Args:
        accuracy: Share of right answers.
        interval: 95 % interval of the accuracy, by bootstrap over videos.
        n: Samples scored.
        skipped: Samples not scored.
        skipped_reasons: How many for which reason.
        chance: Mean of ``blind``, if every scored sample states it.
        by_form: Scores by kind of question.
        by_track: Scores by track.
        absent: Samples that ran without a channel, by channel.
        base: Name of the base.
        patches: Names of the patches that acted.
        seed: Of the bootstrap.
        config: Everything that decided the answers.
        versions: Of the packages that computed them.
        responses: The answers.
    """

    accuracy: float
    interval: tuple[float, float]
    n: int
    skipped: int
    skipped_reasons: Mapping[str, int]
    chance: float | None
    by_form: Mapping[str, Mapping[str, Any]]
    by_track: Mapping[str, Mapping[str, Any]]
    absent: Mapping[str, int]
    base: str
    patches: Sequence[str]
    seed: int
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    responses: Sequence[Response] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the responses, in plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps({**asdict(self), "responses": None}, default=str))
        del plain["responses"]
        return plain

    def write(self, folder: Path) -> None:
        """Write ``result.json`` and ``responses.jsonl`` into a new folder, both or neither.

        Raises:
            InputError: If the folder is not empty.
        """
        check_vacant(folder)
        with whole_folder(folder) as fresh:
            text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
            (fresh / RESULT_FILE).write_text(text, encoding="utf-8")
            lines = (json.dumps(asdict(response), ensure_ascii=False) + "\n" for response in self.responses)
            (fresh / RESPONSES_FILE).write_text("".join(lines), encoding="utf-8")


def scores(responses: Sequence[Response], seed: int) -> dict[str, Any]:
    """Return accuracy, interval, n and chance of some responses; at least one."""
    correct = np.array([response.correct for response in responses], dtype=np.float64)
    blind = [response.extra["blind"] for response in responses if response.extra.get("blind") is not None]
    clusters: list[Hashable] = [response.cluster for response in responses]
    return {
        "accuracy": float(correct.mean()),
        "interval": clustered_interval(correct, clusters, seed),
        "n": len(responses),
        "chance": float(np.mean(blind)) if len(blind) == len(responses) else None,
    }


def scores_by(responses: Sequence[Response], name: str, seed: int) -> dict[str, dict[str, Any]]:
    """Return :func:`scores` for each value of the samples' field ``name``, sorted; samples without it are left out."""
    groups: dict[str, list[Response]] = {}
    for response in responses:
        value = response.extra.get(name)
        if value is not None:
            groups.setdefault(value, []).append(response)
    return {value: scores(groups[value], seed) for value in sorted(groups)}
