"""Multiple choice: letters, and the sentences around lettered options."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

LETTER_ONLY = "Answer with the option's letter from the given choices directly."


def select_best(letters: Sequence[str], about: str) -> str:
    """Return the instruction of Video-MME's paper.

    Args:
        letters: Of the options.
        about: What the question is based on.
    """
    listed = f"{', '.join(letters[:-1])}, or {letters[-1]}"
    return (
        f"Select the best answer to the following multiple-choice question based on {about}. "
        f"Respond with only the letter ({listed}) of the correct option."
    )


def letters(choices: Sequence[str]) -> list[str]:
    """Return A, B, C, … for as many options."""
    return list(ascii_uppercase[: len(choices)])


def bracketed(choices: Sequence[str]) -> str:
    """Return options a line each, as ``(A) text``."""
    return "\n".join(f"({letter}) {choice}" for letter, choice in zip(letters(choices), choices, strict=True))


def letter_of(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of an answer that is given as text; of options that are the same the last, as in MLVU's code.

    ``None`` if it is none of the options.
    """
    same = [letter for letter, choice in zip(letters(choices), choices, strict=True) if choice == answer]
    return same[-1] if same else None
