"""A question with its answer and the chance of a blind answerer, and the few phrases that all tracks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NUMBERS = ("none", "one", "two", "three", "four")


@dataclass(frozen=True)
class Question:
    """One question about one scene.

    ``blind`` is the chance of the best answerer who knows how scenes are drawn and sees every frame of the main
    camera, but not the side channel that the track is about; of several channels, all but any one of them.
    """

    form: str
    text: str
    answer: str
    blind: float


def pick(options: Sequence[str], rng: np.random.Generator) -> str:
    """Return one of the options."""
    return options[int(rng.integers(len(options)))]


def either(template: str, first: str, second: str, rng: np.random.Generator) -> str:
    """Fill ``{a}`` and ``{b}`` with the two options in random order, so that the order tells nothing."""
    a, b = (first, second) if rng.random() < 0.5 else (second, first)
    return template.format(a=a, b=b)


def interleave(questions: Iterable[Question], rng: np.random.Generator) -> list[Question]:
    """Shuffle so that every form comes up once before any comes up twice."""
    by_form: dict[str, list[Question]] = {}
    for question in questions:
        by_form.setdefault(question.form, []).append(question)
    ranked = []
    for group in by_form.values():
        for rank, index in enumerate(rng.permutation(len(group))):
            ranked.append((rank, rng.random(), group[index]))
    return [question for _, _, question in sorted(ranked, key=lambda item: item[:2])]
