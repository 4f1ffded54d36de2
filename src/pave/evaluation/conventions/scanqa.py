"""ScanQA: four projects' ways to score the same answers.

All return, in percent, ``em`` first (exact match), then what else the project reports: ``em_refined``, ``f_value``,
and ``bleu1`` to ``bleu4``, ``meteor``, ``rouge_l`` and ``cider``, which need Java. An empty prediction counts as
wrong, also where its source lets it match anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from pave.evaluation.conventions.accuracy import hits
from pave.evaluation.conventions.captions import caption_metrics
from pave.evaluation.conventions.convention import Convention, Metric, Scored, checked, mean_metric
from pave.evaluation.conventions.java import find_java
from pave.evaluation.conventions.text import clean_answer, one_spaced, overlap
from pave.evaluation.conventions.wordnet import noun_lemma

PERCENT = 100.0


def exact(prediction: str, references: Sequence[str]) -> bool:
    """Whether the prediction is one of the references as they stand."""
    return prediction in references


def cleaned_exact(prediction: str, references: Sequence[str]) -> bool:
    """Whether the cleaned prediction is one of the cleaned references.

    Source: ZCMax/LLaVA-3D ``llava/eval/scanqa_evaluator.py``, used by PAVE.
    """
    return clean_answer(prediction) in [clean_answer(text) for text in references]


def cleaned_refined(prediction: str, references: Sequence[str]) -> bool:
    """Whether, cleaned and without white space, the prediction is part of a reference or a reference of it.

    Source: ZCMax/LLaVA-3D ``llava/eval/scanqa_evaluator.py``, used by PAVE; embodied-generalist
    ``evaluator/scanqa_eval.py``. An empty prediction is part of any.
    """
    cleaned = clean_answer(prediction)
    return any(overlap(cleaned, clean_answer(text)) for text in references)


def leo_exact(prediction: str, references: Sequence[str]) -> bool:
    """Whether the first reference that matches at all, walked in order, matches exactly.

    Source: embodied-generalist ``evaluator/scanqa_eval.py``, which stops at the first exact or refined match.
    """
    cleaned = clean_answer(prediction)
    first = next((text for text in map(clean_answer, references) if overlap(cleaned, text)), None)
    return first == cleaned


def without_full_stops(prediction: str) -> str:
    """Return a prediction without the full stops at its end.

    Source: LaVi-Lab/Video-3D-LLM ``llava/eval/eval_scanqa.py``, for n-gram scores only.
    """
    return prediction.rstrip(".")


def unigram_f(prediction: str, references: Sequence[str]) -> float:
    """Return the best F value, over references, of the lemmatised words in common.

    Source: ATR-DBI/ScanQA ``scripts/score.py``. Precision and recall are shares of words that occur at all on the
    other side, so that a repeated word counts each time.
    """
    return max(_shared_words(prediction, text) for text in references)


def official_scores(ranked: Sequence[str], references: Sequence[str]) -> tuple[float, float, float]:
    """Return exact match of the first answer, of any of the first ten, and the F value of the first.

    Source: ATR-DBI/ScanQA ``scripts/score.py``.
    """
    first = float(ranked[0] in references)
    return first, float(any(text in references for text in ranked[:10])), first or unigram_f(ranked[0], references)


def question_class(question: str) -> str:
    """Return the kind of a question; the first rule that fits decides, and case counts.

    Source: ATR-DBI/ScanQA ``scripts/score.py`` ``qclass1``.
    """
    return next((kind for parts, kind in _CLASSES if any(part in question for part in parts)), "Other")


_CLASSES = (
    (("Where",), "Place"),
    (("How many",), "Number"),
    (("What color", "What is the color"), "Color"),
    (("What shape", "What type", "What kind"), "Object nature"),
    (("What is",), "Object"),
)


def _shared_words(prediction: str, reference: str) -> float:
    ours = [noun_lemma(word) for word in prediction.split()]
    theirs = [noun_lemma(word) for word in reference.split()]
    if not ours or not theirs:
        return 0.0
    precision = sum(word in theirs for word in ours) / len(ours)
    recall = sum(word in ours for word in theirs) / len(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _captions(
    samples: Sequence[Scored], ours: Callable[[str], str], theirs: Callable[[str], str], ptb: bool
) -> dict[str, Metric]:
    predictions = [ours(sample.prediction) for sample in samples]
    references = [[theirs(text) for text in sample.references] for sample in samples]
    return caption_metrics(predictions, references, ptb, PERCENT)


def _matches(samples: Sequence[Scored], **rules: Callable[[str, Sequence[str]], bool]) -> dict[str, Metric]:
    return {name: mean_metric(hits(functools.partial(_match, rule), samples)) for name, rule in rules.items()}


def _match(rule: Callable[[str, Sequence[str]], bool], sample: Scored) -> bool:
    return rule(sample.prediction, sample.references)


@checked
def pave_reference(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return scores after cleaning of both sides, then PTB tokens."""
    matches = _matches(samples, em=cleaned_exact, em_refined=cleaned_refined)
    return matches | _captions(samples, clean_answer, lambda text: clean_answer(text).strip(), ptb=True)


@checked
def leo(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return scores after cleaning of both sides, split at white space."""

    def words(text: str) -> str:
        return one_spaced(clean_answer(text))

    return _matches(samples, em=leo_exact, em_refined=cleaned_refined) | _captions(samples, words, words, ptb=False)


@checked
def video3d(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return scores of raw text; only n-gram scores see the prediction without its last full stops."""
    return _matches(samples, em=exact) | _captions(samples, without_full_stops, str, ptb=False)


@checked
def official(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return scores of raw text, PTB tokens for the n-gram scores.

    A model that gives one answer has no ten to search, so EM@10 is not among them.
    """
    f_values = [
        0.0 if sample.empty else official_scores([sample.prediction], sample.references)[2] for sample in samples
    ]
    matches = _matches(samples, em=exact) | {"f_value": mean_metric(f_values)}
    return matches | _captions(samples, str, str, ptb=True)


def _official_group(sample: Scored) -> str | None:
    question = sample.fields.get("question")
    return question_class(question) if isinstance(question, str) else None


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "scanqa": {
        "pave-reference": Convention(
            "pave-reference",
            "PAVE and ZCMax/LLaVA-3D llava/eval/scanqa_evaluator.py: LEO's cleaning, PTB, pycocoevalcap 1.2",
            pave_reference,
            find_java,
        ),
        "leo": Convention(
            "leo",
            "embodied-generalist evaluator/scanqa_eval.py: LEO's cleaning, first match decides, no PTB",
            leo,
            find_java,
        ),
        "video3d": Convention(
            "video3d",
            "LaVi-Lab/Video-3D-LLM llava/eval/eval_scanqa.py: raw equality, no PTB",
            video3d,
            find_java,
        ),
        "official": Convention(
            "official",
            "ATR-DBI/ScanQA scripts/score.py: raw equality, lemmatised unigram F, PTB",
            official,
            find_java,
            _official_group,
        ),
    }
}
