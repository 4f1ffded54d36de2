"""VSI-Bench: choices and numbers of eight types; ``overall`` in percent is the mean of the types' scores.

A number scores the share of ten tolerances that it keeps (mean relative accuracy, Yang et al. 2024, section 3).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pave.errors import InputError
from pave.evaluation.conventions.convention import Convention, Metric, Score, Scored, checked, from_rows

NUMBER_TYPES = ("object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation")
NUMBER_METRIC = "MRA:.5:.95:.05"
CHOICE_METRIC = "accuracy"
DIRECTION = "object_rel_direction"
"""Its three levels, easy, medium and hard, are averaged to one type first."""

_UNITS = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand".split(),
        [*range(21), *range(30, 101, 10), 1000],
        strict=True,
    )
)


def first_token(text: str) -> str:
    """Return what stands before the first space, without full stops at its end."""
    return text.split(" ")[0].rstrip(".").strip()


def first_number(text: str) -> float | None:
    """Return a text's first token as a number, ``None`` if it is none.

    Source: vision-x-nyu/thinking-in-space ``lmms_eval/tasks/vsibench/utils.py``.
    """
    try:
        return float(first_token(text))
    except ValueError:
        return None


def any_number(text: str) -> float | None:
    """Return the first number in a text, in digits or in English words, ``None`` if there is none.

    Source: lmms-eval since 0.7 ``tasks/vsibench/utils.py``.
    """
    lower = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", lower)
    words = list(re.finditer(r"[a-z]+", lower))
    first = next((number for number, word in enumerate(words) if word[0] in _UNITS), None)
    if digits and (first is None or digits.start() < words[first].start()):
        return float(digits[0])
    return None if first is None else _spoken_number([word[0] for word in words[first:]])


def _spoken_number(words: Sequence[str]) -> float:
    total = current = 0
    for word in words:
        if word == "and":
            continue
        if word not in _UNITS:
            break
        value = _UNITS[word]
        if value == 1000:
            total, current = total + max(current, 1) * 1000, 0
        else:
            current = max(current, 1) * 100 if value == 100 else current + value
    return float(total + current)


def relative_accuracy(number: float | None, reference: float) -> float:
    """Return the share of the tolerances 0.5, 0.45, … 0.05 within which a number is; 0 for no number.

    Source: vision-x-nyu/thinking-in-space ``lmms_eval/tasks/vsibench/utils.py``, with its rounding of tolerances.
    """
    if number is None:
        return 0.0
    confidences = np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2))
    return float(np.mean(abs(number - reference) / reference <= 1 - confidences))


def letter_accuracy(prediction: str, reference: str) -> float:
    """Return 1 if the first token is the letter, case aside; "(A)" and "A)" are not.

    Source: vision-x-nyu/thinking-in-space ``lmms_eval/tasks/vsibench/utils.py``.
    """
    return float(first_token(prediction).lower() == reference.lower())


def official_averages(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the percentage of every type and ``overall``, the mean of them.

    Source: vision-x-nyu/thinking-in-space ``lmms_eval/tasks/vsibench/utils.py``.

    Args:
        results: ``question_type``, and ``accuracy`` or ``MRA:.5:.95:.05``.
    """
    types = [result["question_type"] for result in results]
    scores = [float(result[_metric(kind)]) for kind, result in zip(types, results, strict=True)]
    averages = {f"{kind}_{_metric(kind)}": 100 * share for kind, share in _by_type(scores, types).items()}
    return {"overall": _overall_metric(scores, types).value} | averages


def _metric(kind: str) -> str:
    return NUMBER_METRIC if kind in NUMBER_TYPES else CHOICE_METRIC


def _by_type(scores: Sequence[float], types: Sequence[str]) -> dict[str, float]:
    levels: dict[str, dict[str, list[float]]] = {}
    for score, kind in zip(scores, types, strict=True):
        levels.setdefault(_merged(kind), {}).setdefault(kind, []).append(score)
    return {kind: float(np.mean([np.mean(found) for found in of.values()])) for kind, of in levels.items()}


def _merged(kind: str) -> str:
    return DIRECTION if kind.startswith(DIRECTION) else kind


def _overall_metric(scores: Sequence[float], types: Sequence[str]) -> Metric:
    kinds = sorted(set(types))
    members = np.array([[float(kind == other) for other in kinds] for kind in types])
    rows = np.concatenate([members * np.asarray(scores)[:, None], members], axis=1)
    return from_rows(rows, functools.partial(_overall, kinds=kinds))


def _overall(summed: np.ndarray, kinds: Sequence[str]) -> float:
    hits, counts = np.split(summed, 2)
    present = [(hits[n] / counts[n], kind) for n, kind in enumerate(kinds) if counts[n]]
    if not present:
        return float("nan")
    return 100 * float(
        np.mean(list(_by_type([share for share, _ in present], [kind for _, kind in present]).values()))
    )


def _score(read: Callable[[str], float | None]) -> Score:
    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        types = [_type(sample) for sample in samples]
        scores = [_sample_score(sample, kind, read) for sample, kind in zip(samples, types, strict=True)]
        return {"overall": _overall_metric(scores, types)}

    return score


def _type(sample: Scored) -> str:
    kind = sample.fields.get("category")
    if not isinstance(kind, str):
        raise InputError(f"sample {sample.id!r}: category is {kind!r}; it must be the question type")
    return kind


def _sample_score(sample: Scored, kind: str, read: Callable[[str], float | None]) -> float:
    reference = sample.references[0]
    if kind not in NUMBER_TYPES:
        return 0.0 if sample.empty else letter_accuracy(sample.prediction, reference)
    target = first_number(reference)
    if not target:
        raise InputError(f"sample {sample.id!r}: reference is {reference!r}; type {kind} needs a number other than 0")
    return relative_accuracy(read(sample.prediction), target)


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "vsi-bench": {
        "official": Convention(
            "official",
            "vision-x-nyu/thinking-in-space lmms_eval/tasks/vsibench/utils.py: first token",
            _score(first_number),
        ),
        "lmms-eval": Convention(
            "lmms-eval",
            "lmms-eval since 0.7 tasks/vsibench/utils.py: first number anywhere, words too",
            _score(any_number),
        ),
    }
}
