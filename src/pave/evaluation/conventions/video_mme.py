"""Video-MME: letters A to D, accuracy in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pave.evaluation.conventions.convention import Convention
from pave.evaluation.conventions.letters import (
    LMMS_PREFIXES,
    VIDEO_MME_PREFIXES,
    VLMEVALKIT_PREFIXES,
    first_letter,
    ranked_letter,
)
from pave.evaluation.conventions.multiple_choice import (
    PAVE_SOURCE,
    Reader,
    answered_score,
    letter_score,
    pave_letter,
)

DURATIONS = ("short", "medium", "long")


def official_accuracies(videos: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the percentages of short, medium, long and all videos of a result file, one digit after the point.

    Source: thanku-all/parse_answer ``eval_your_results.py``. Answers without a letter leave the denominator.

    Args:
        videos: Entries of the official result file: ``duration`` and ``questions`` with ``answer`` and ``response``.
    """
    return [_accuracy([video for video in videos if video["duration"] == kind]) for kind in DURATIONS] + [
        _accuracy(videos)
    ]


def _accuracy(videos: Sequence[Mapping[str, Any]]) -> float:
    pairs = [
        (first_letter(question["response"], VIDEO_MME_PREFIXES), question["answer"])
        for video in videos
        for question in video["questions"]
    ]
    answered = [letter == answer for letter, answer in pairs if letter]
    return round(100 * sum(answered) / len(answered), 1) if answered else 0.0


def _first(prefixes: Sequence[str]) -> Reader:
    return lambda sample: first_letter(sample.prediction, prefixes)


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "video-mme": {
        "lmms-eval-0.7": Convention(
            "lmms-eval-0.7",
            "lmms-eval since 2026-04-11 tasks/_task_utils/mcq_extract.py: ranked parser",
            letter_score(lambda sample: ranked_letter(sample.prediction)),
        ),
        "lmms-eval-0.3": Convention(
            "lmms-eval-0.3",
            "lmms-eval 0.2 and 0.3 tasks/videomme/utils.py: first capital A to D",
            letter_score(_first(LMMS_PREFIXES)),
        ),
        "reference": Convention(
            "reference", "PAVE, which scores through lmms-eval 0.2", letter_score(_first(LMMS_PREFIXES))
        ),
        "official": Convention(
            "official",
            "thanku-all/parse_answer eval_your_results.py: only answers with a letter are counted",
            answered_score(_first(VIDEO_MME_PREFIXES)),
        ),
        "vlmevalkit": Convention(
            "vlmevalkit",
            "open-compass/VLMEvalKit vlmeval/dataset/videomme.py, without its judge",
            letter_score(_first(VLMEVALKIT_PREFIXES)),
        ),
        "pave": Convention("pave", PAVE_SOURCE, letter_score(pave_letter)),
    }
}
