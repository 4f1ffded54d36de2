"""SQA3D: the same four projects, one reference a question; all return ``em`` in percent first.

An empty prediction counts as wrong, also where its source lets it match anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pave.evaluation.conventions.accuracy import hits
from pave.evaluation.conventions.convention import Convention, Metric, Scored, checked, mean_metric
from pave.evaluation.conventions.scanqa import cleaned_exact, cleaned_refined
from pave.evaluation.conventions.text import clean_answer, without_space

TYPES = ("what", "is", "how", "can", "which", "other")
"""Kinds of questions, in the order of the projects' numbers."""


def lenient(prediction: str, reference: str) -> bool:
    """Whether the cleaned prediction equals the raw reference, is part of it, or shares a word with it.

    Source: SilongYong/SQA3D ``LLM/eval_sqa3d_llm.py``. An empty prediction is part of any reference.
    """
    cleaned = clean_answer(prediction)
    return (
        cleaned in reference
        or without_space(cleaned) in without_space(reference)
        or not set(cleaned.split()).isdisjoint(reference.split())
    )


def first_word_type(question: str) -> int:
    """Return the number of a question's type by its first word, as it stands.

    Source: PAVE and LEO. "what" in lower case and "Whichever" are type 5, other.
    """
    return _number(question.split(" ")[0], [kind.capitalize() for kind in TYPES[:-1]])


def mcan_type(question: str) -> int:
    """Return the number of a question's type by its first word in lower case, punctuation and "'s" split off.

    Source: SilongYong/SQA3D ``MCAN/load_data.py``.
    """
    words = question.lower()
    for mark in ",.?":
        words = words.replace(mark, "")
    return _number((words.replace("'s", " 's").split() or [""])[0], TYPES[:-1])


def prefix_type(question: str) -> str:
    """Return a question's type by what it starts with, in lower case; "Island …" is of type "is".

    Source: LaVi-Lab/Video-3D-LLM ``scripts/3d/preprocessing/process_sqa3d.py``.
    """
    return next((kind for kind in TYPES[:-1] if question.lower().startswith(kind)), "others")


def _number(word: str, kinds: Sequence[str]) -> int:
    return kinds.index(word) if word in kinds else len(kinds)


def _group(kind: Callable[[str], str]) -> Callable[[Scored], str | None]:
    def group(sample: Scored) -> str | None:
        question = sample.fields.get("question")
        return kind(question) if isinstance(question, str) else None

    return group


@checked
def cleaned(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return exact and refined match after cleaning of both sides."""
    return {
        "em": mean_metric(hits(lambda sample: cleaned_exact(sample.prediction, sample.references), samples)),
        "em_refined": mean_metric(hits(lambda sample: cleaned_refined(sample.prediction, sample.references), samples)),
    }


@checked
def cleaned_strict(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return exact match after cleaning of both sides."""
    return {"em": mean_metric(hits(lambda sample: cleaned_exact(sample.prediction, sample.references), samples))}


@checked
def official(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return the lenient match of the zero-shot script."""
    right = hits(lambda sample: any(lenient(sample.prediction, text) for text in sample.references), samples)
    return {"em": mean_metric(right)}


_FIRST_WORD = _group(lambda question: TYPES[first_word_type(question)])

CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "sqa3d": {
        "pave-reference": Convention(
            "pave-reference", "PAVE: LEO's cleaning, strict and refined", cleaned, group=_FIRST_WORD
        ),
        "leo": Convention(
            "leo",
            "embodied-generalist evaluator: with one reference the same as PAVE's",
            cleaned,
            group=_FIRST_WORD,
        ),
        "video3d": Convention(
            "video3d",
            "LaVi-Lab/Video-3D-LLM llava/eval/eval_sqa3d.py: LEO's cleaning, strict only",
            cleaned_strict,
            group=_group(prefix_type),
        ),
        "official": Convention(
            "official",
            "SilongYong/SQA3D LLM/eval_sqa3d_llm.py: a shared word is enough; types as in MCAN/load_data.py",
            official,
            group=_group(lambda question: TYPES[mcan_type(question)]),
        ),
    }
}
