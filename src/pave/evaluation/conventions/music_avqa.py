"""MUSIC-AVQA and v2.0: accuracy in percent over all questions, of three ways to read an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pave.evaluation.conventions.accuracy import accuracy_score, plain
from pave.evaluation.conventions.convention import Convention, Scored

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

INSTRUMENTS = tuple(
    "accordion acoustic_guitar bagpipe banjo bassoon cello clarinet congas drum electric_bass erhu flute guzheng "
    "piano pipa saxophone suona trumpet tuba ukulele violin xylophone".split()
)

LABELS = (
    *NUMBERS,
    "more than ten",
    *INSTRUMENTS,
    *("yes", "no", "left", "middle", "right", "indoor", "outdoor", "simultaneously"),
)
"""The 42 answers of all splits; "ten" occurs in v2.0 only."""


def substring(prediction: str, reference: str) -> bool:
    """Whether the reference stands anywhere in the prediction, case aside; "no" is found in "piano".

    Source: PAVE ``calculate_acc``.
    """
    return reference.lower() in prediction.lower()


def strict(prediction: str, reference: str) -> bool:
    """Whether both are equal, case, outer white space and one full stop at the end of the prediction aside.

    Source: this project; the benchmark itself scores a classifier and has no text to read.
    """
    return plain(prediction) == reference.strip().lower()


def closed_set(prediction: str) -> str | None:
    """Return the one of :data:`LABELS` that a prediction names, or ``None`` if it names none or several.

    Source: this project, for the official task of 42 classes. Labels are whole words; an underscore may be a space
    and a number may be digits; "more than ten" is not also "ten". Saying the same label twice is saying one.
    """
    words = " ".join(re.findall(r"\w+", prediction.lower().replace("_", " ")))
    found = {_NAMES[match] for match in _LABEL.findall(words)}
    return found.pop() if len(found) == 1 else None


_NAMES = {label.replace("_", " "): label for label in LABELS}
_NAMES |= {str(number): word for number, word in enumerate(NUMBERS)} | {"more than 10": "more than ten"}
_LABEL = re.compile(rf"\b(?:{'|'.join(sorted(_NAMES, key=len, reverse=True))})\b")


def question_tokens(template: str, values: Sequence[str] | str) -> list[str]:
    """Return a question's words as the official loader makes them of a template.

    Source: GeWu-Lab/MUSIC-AVQA ``net_grd_avst/dataloader_avst.py``: split at single spaces, last character of the last
    word cut, and each word that holds "<" replaced whole by the next value.

    Args:
        template: ``question_content``.
        values: ``templ_values``, a list or the list as JSON.
    """
    slots: Any = iter(json.loads(values) if isinstance(values, str) else values)
    words = template.rstrip().split(" ")
    words[-1] = words[-1][:-1]
    return [next(slots) if "<" in word else word for word in words]


def _names_one(sample: Scored) -> bool:
    named = closed_set(sample.prediction)
    return named is not None and named in [closed_set(text) for text in sample.references]


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "music-avqa": {
        "strict": Convention(
            "strict",
            "this project: equality, case and one last full stop aside",
            accuracy_score(lambda sample: any(strict(sample.prediction, text) for text in sample.references)),
        ),
        "reference": Convention(
            "reference",
            "PAVE calculate_acc: the reference is a substring of the prediction",
            accuracy_score(lambda sample: any(substring(sample.prediction, text) for text in sample.references)),
        ),
        "closed-set": Convention(
            "closed-set",
            "this project, for the 42 classes of GeWu-Lab/MUSIC-AVQA: exactly one label named, as whole words",
            accuracy_score(lambda sample: _names_one(sample)),
        ),
    }
}
