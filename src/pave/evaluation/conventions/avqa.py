"""AVQA (VGGSound): four choices; accuracy in percent over all samples. The benchmark itself scores a classifier."""

from __future__ import annotations

from collections.abc import Mapping

from pave.evaluation.conventions.accuracy import accuracy_score
from pave.evaluation.conventions.convention import Convention
from pave.evaluation.conventions.multiple_choice import PAVE_SOURCE, letter_score, pave_letter, right_letter


def letter_inside(prediction: str, letter: str) -> bool:
    """Whether the letter stands anywhere in the prediction, in words too; "Answer: C" holds A and C.

    Source: PAVE's evaluation script.
    """
    return letter in prediction


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "avqa": {
        "pave": Convention("pave", PAVE_SOURCE, letter_score(pave_letter)),
        "reference": Convention(
            "reference",
            "PAVE: the right letter is a substring of the prediction, case included",
            accuracy_score(lambda sample: letter_inside(sample.prediction, right_letter(sample))),
        ),
    }
}
