"""Normalisation of answers as the ScanQA and SQA3D projects do it."""

from __future__ import annotations

import re

_MISSPELT = {
    "letf": "left",
    "let": "left",
    "tehre": "there",
    "rigth": "right",
    "rght": "right",
    "behine": "behind",
    "tv": "TV",
    "chai": "chair",
    "wasing": "washing",
    "waslked": "walked",
    "oclock": "o'clock",
}
_NUMBERS = dict(
    zip(
        ["0", "none", *map(str, range(1, 21)), "23"],
        "zero zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty twenty-three".split(),
        strict=True,
    )
)


def _words(table: dict[str, str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(sorted(table, key=len, reverse=True))})\b")


_MISSPELT_WORD = _words(_MISSPELT)
_NUMBER_WORD = _words(_NUMBERS)
_FOREIGN = re.compile(r"[^a-zA-Z0-9,'\s\-:]+")
_CLOCK = re.compile(r"\bo' +clock\b")
_NUMBERED = re.compile(r"\b([a-zA-Z]+)[0-9]\b")
_ARTICLES = [re.compile(rf"\b{article} ([a-zA-Z]+)") for article in ("a", "an", "the")]
_BACKWARDS = re.compile(r"\bbackwards\b")


def clean_answer(text: str) -> str:
    """Return an answer as LEO cleans it: lower case, no full stops, numbers as words, articles dropped.

    Source: embodied-generalist ``data/data_utils.py``, also used by LLaVA-3D, Video-3D-LLM (SQA3D) and PAVE. Its
    quirks are kept: accents are deleted with their letter, a digit that ends a word is dropped ("chair3"), the first
    of two articles hides the second, and nothing is trimmed at the end.
    """
    text = re.sub(" {2,}", " ", re.sub("^ +", "", re.sub(" +$", "", text.lower())))
    text = _FOREIGN.sub("", text)
    text = _MISSPELT_WORD.sub(lambda match: _MISSPELT[match.group()], text)
    text = _CLOCK.sub("o'clock", text)
    text = _NUMBER_WORD.sub(lambda match: _NUMBERS[match.group()], text)
    text = _NUMBERED.sub(r"\1", text)
    for article in _ARTICLES:
        text = article.sub(r"\1", text)
    return _BACKWARDS.sub("backward", text)


def without_space(text: str) -> str:
    """Return a text without its white space."""
    return "".join(text.split())


def one_spaced(text: str) -> str:
    """Return a text trimmed, its words one space apart."""
    return " ".join(text.split())


def overlap(one: str, other: str) -> bool:
    """Whether one text is part of the other, white space aside; an empty text is part of any."""
    one, other = without_space(one), without_space(other)
    return one in other or other in one
