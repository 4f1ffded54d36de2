"""Scores of one prediction against one reference; small pure functions."""

from __future__ import annotations

import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Return an answer in lower case, without ASCII punctuation, its words one space apart."""
    return " ".join(answer.lower().translate(_PUNCTUATION).split())


def exact_match(prediction: str, reference: str) -> bool:
    """Whether two answers are the same once :func:`normalised`."""
    return normalised(prediction) == normalised(reference)
