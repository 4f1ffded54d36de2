"""What conventions of multiple-choice sets have in common: which letter is right, and what to divide by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pave.errors import InputError
from pave.evaluation.conventions.accuracy import hits
from pave.evaluation.conventions.answer_letter import answer_letter
from pave.evaluation.conventions.convention import Metric, Score, Scored, checked, mean_metric, ratio_metric
from pave.evaluation.conventions.letters import ALPHABET

Reader = Callable[[Scored], str]
"""A sample to the letter that its prediction means, "" for none."""

NO_LETTER = "@"
"""Stands for the letter of an answer that is not among the choices, as in MLVU's own script."""


def choices_of(sample: Scored) -> list[str]:
    """Return a sample's choices.

    Raises:
        InputError: If it has none.
    """
    choices = sample.fields.get("choices")
    if not isinstance(choices, list | tuple) or not choices or not all(isinstance(text, str) for text in choices):
        raise InputError(f"sample {sample.id!r}: choices is {choices!r}; it must be a list of texts")
    return list(choices)


def right_letter(sample: Scored, last: bool = False) -> str:
    """Return the letter of the right choice, :data:`NO_LETTER` if the reference is none of them.

    Args:
        sample: Its first reference is the letter of a choice, as prepared data have it, or its text. A letter stays a
            letter where a choice reads the same: of the choices "B", "A" the reference "A" is the first.
        last: Of equal choices take the last, as MVBench's and MLVU's own scripts do, not the first.

    Raises:
        InputError: If it has no choices.
    """
    choices, reference = choices_of(sample), sample.references[0].strip()
    if len(reference) == 1 and reference in ALPHABET[: len(choices)]:
        return reference
    numbers = [number for number, choice in enumerate(choices) if choice.strip() == reference]
    return ALPHABET[numbers[-1 if last else 0]] if numbers else NO_LETTER


def lettered_answer(sample: Scored) -> str:
    """Return the right choice as "(A) text", with which MVBench's and MLVU's own scripts compare."""
    letter, choices = right_letter(sample, last=True), choices_of(sample)
    text = sample.references[0] if letter == NO_LETTER else choices[ALPHABET.index(letter)]
    return f"({letter}) {text}"


def letter_score(read: Reader) -> Score:
    """Return a scorer of ``accuracy`` over all samples and ``answered``, the percentage with a letter."""

    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        letters = _letters(read, samples)
        return {"accuracy": mean_metric(letter_hits(letters, samples)), "answered": mean_metric(_answered(letters))}

    return score


def answered_score(read: Reader) -> Score:
    """Return a scorer of ``accuracy`` over the samples with a letter, ``accuracy_all`` over all, and ``answered``."""

    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        letters = _letters(read, samples)
        right, answered = letter_hits(letters, samples), _answered(letters)
        return {
            "accuracy": ratio_metric(right, answered),
            "accuracy_all": mean_metric(right),
            "answered": mean_metric(answered),
        }

    return score


def letter_hits(letters: Sequence[str], samples: Sequence[Scored]) -> np.ndarray:
    """Return 1 for samples whose letter is the right one and 0 for others (n,)."""
    named = dict(zip((sample.id for sample in samples), letters, strict=True))
    return hits(lambda sample: named[sample.id] == right_letter(sample), samples)


def pave_letter(sample: Scored) -> str:
    """Return the letter that this project's own parser reads."""
    return answer_letter(sample.prediction, choices_of(sample))


PAVE_SOURCE = "this project: a letter where one is meant, or the text of one choice; see answer_letter"


def _letters(read: Reader, samples: Sequence[Scored]) -> list[str]:
    return ["" if sample.empty else read(sample) for sample in samples]


def _answered(letters: Sequence[str]) -> list[float]:
    return [float(letter != "") for letter in letters]
