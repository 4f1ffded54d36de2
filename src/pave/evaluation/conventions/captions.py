"""BLEU, METEOR, ROUGE-L and CIDEr as COCO's evaluation computes them, kept apart by sample so that they can be
bootstrapped."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from pave.evaluation.conventions.convention import Metric, from_rows, mean_metric
from pave.evaluation.conventions.java import find_java, meteor_statistics, ptb_tokenise

ORDERS = 4
"""Longest n-grams of BLEU and CIDEr."""

_TINY, _SMALL = 1e-15, 1e-9
"""What BLEU adds to matches and to n-grams of the prediction, so that an order without a match does not end it."""

_METEOR_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of METEOR's matchers exact, stem, synonym and paraphrase, for English."""

_METEOR_ALPHA, _METEOR_BETA, _METEOR_GAMMA, _METEOR_DELTA = 0.85, 0.2, 0.6, 0.75


def caption_metrics(
    predictions: Sequence[str], references: Sequence[Sequence[str]], ptb: bool = True, unit: float = 1.0
) -> dict[str, Metric]:
    """Return ``bleu1`` to ``bleu4``, ``meteor``, ``rouge_l`` and ``cider``, each times ``unit``.

    BLEU and METEOR are of the whole corpus: their rows are counts, and a bootstrap sums them. ROUGE-L and CIDEr are
    means over samples. CIDEr weighs n-grams by how many samples' references of this very run hold them, and so
    depends on the samples that are scored together; a bootstrap keeps these weights.

    Source: pycocoevalcap 1.2; METEOR 1.5 (Denkowski and Lavie 2014, section 2).

    Args:
        predictions: One a sample.
        references: One or more a sample.
        ptb: Tokenise both with CoreNLP's PTB tokeniser first, as COCO does; else they are split at white space as
            they stand.
        unit: 100 where the source prints percent.

    Raises:
        InputError: If there is no Java.
    """
    find_java()
    if ptb:
        predictions, references = tokenised(predictions, references)
    statistics = from_rows(_meteor_rows(predictions, references), functools.partial(_meteor, unit=unit))
    scores = overlap_metrics(predictions, references, unit)
    return {name: scores[name] for name in scores if name.startswith("bleu")} | {"meteor": statistics} | scores


def overlap_metrics(
    predictions: Sequence[str], references: Sequence[Sequence[str]], unit: float = 1.0
) -> dict[str, Metric]:
    """Return the scores of :func:`caption_metrics` that need no Java, of texts that are split at white space."""
    from pycocoevalcap.rouge.rouge import Rouge

    counts = _bleu_rows(predictions, references)
    bleu = {
        f"bleu{order}": from_rows(counts, functools.partial(_bleu, order=order, unit=unit))
        for order in range(1, ORDERS + 1)
    }
    rouge = Rouge()
    lengths = [rouge.calc_score([text], list(of)) for text, of in zip(predictions, references, strict=True)]
    cider = _cider_scores(predictions, references)
    return {**bleu, "rouge_l": mean_metric(lengths, unit), "cider": mean_metric(cider, unit)}


def tokenised(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return predictions and references as PTB tokens, both in one call of Java."""
    tokens = iter(ptb_tokenise([*predictions, *(text for of in references for text in of)]))
    return [next(tokens) for _ in predictions], [tuple(next(tokens) for _ in of) for of in references]


def per_sample(metric: Metric) -> np.ndarray:
    """Return what a metric would be of each sample alone (n,)."""
    return np.array([metric.combine(row) for row in metric.rows])


def _bleu_rows(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Return words, words of the reference nearest in length, n-grams by order, matched n-grams by order (n,10)."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=ORDERS)
    for text, of in zip(predictions, references, strict=True):
        scorer += (text, list(of))
    return np.array(
        [
            [sample["testlen"], _nearest(sample["reflen"], sample["testlen"]), *sample["guess"], *sample["correct"]]
            for sample in scorer.ctest
        ],
        dtype=np.float64,
    )


def _nearest(lengths: Sequence[int], length: int) -> int:
    return min((abs(other - length), other) for other in lengths)[1]


def _bleu(summed: np.ndarray, order: int, unit: float) -> float:
    guessed, matched = summed[2 : 2 + order], summed[2 + ORDERS : 2 + ORDERS + order]
    score = float(np.prod((matched + _TINY) / (guessed + _SMALL)) ** (1 / order))
    ratio = (summed[0] + _TINY) / (summed[1] + _SMALL)
    return unit * score * (float(np.exp(1 - 1 / ratio)) if ratio < 1 else 1.0)


def _meteor_rows(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Return METEOR's statistics, with no chunk for a pair that is the same from end to end, as METEOR sums them."""
    rows = meteor_statistics(predictions, references)
    whole = (rows[:, 20] == 1) & (rows[:, 21] == rows[:, 0]) & (rows[:, 22] == rows[:, 1])
    rows[whole, 20] = 0
    return rows


def _meteor(summed: np.ndarray, unit: float) -> float:
    words, functions, matches = summed[:2], summed[2:4], summed[4:20].reshape(4, 4)
    content, function = _METEOR_WEIGHTS @ matches[:, :2], _METEOR_WEIGHTS @ matches[:, 2:]
    found = _METEOR_DELTA * content + (1 - _METEOR_DELTA) * function
    possible = _METEOR_DELTA * (words - functions) + (1 - _METEOR_DELTA) * functions
    if not (found.all() and possible.all()):
        return 0.0
    precision, recall = found / possible
    mean = precision * recall / (_METEOR_ALPHA * precision + (1 - _METEOR_ALPHA) * recall)
    fragmentation = summed[20] / (summed[21:].sum() / 2)
    return unit * float(mean * (1 - _METEOR_GAMMA * fragmentation**_METEOR_BETA))


def _cider_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    if not any(text.split() for of in references for text in of):
        return np.zeros(len(predictions))
    scorer = CiderScorer(n=ORDERS)
    for text, of in zip(predictions, references, strict=True):
        scorer += (text, list(of))
    scores: np.ndarray = scorer.compute_score()[1]
    return scores
