"""Scores of one prediction against one reference; small pure functions."""

from __future__ import annotations

import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Return an answer in lower case, its words one space apart, without ASCII punctuation unless that is all."""
    return " ".join(answer.lower().translate(_PUNCTUATION).split()) or " ".join(answer.split())


def exact_match(prediction: str, reference: str) -> bool:
    """Whether two answers are the same once :func:`normalised`."""
    return normalised(prediction) == normalised(reference)
