"""AVSD of DSTC7, DSTC8 and DSTC10: caption scores of the last answer, against six references or one.

Headline is ``cider``. The challenges print scores from 0 to 1 (CIDEr 0 to 10); ``single-reference`` prints them times
100, as the papers that use it do. All need Java.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pave.evaluation.conventions.captions import caption_metrics
from pave.evaluation.conventions.convention import Convention, Metric, Score, Scored, checked
from pave.evaluation.conventions.java import find_java

Interval = Sequence[float]
"""Start and end in seconds."""

TICK_SEC = 0.1
_SMALL = 1e-8


def dstc7_filter(text: str) -> str:
    """Return a text without its words of one character.

    Source: DSTC7 ``dstc7avsd_eval`` ``utils/stopword_filter.py``, whose ``data/stopwords.txt`` means to name "," and
    "." but is read as regular expressions, in which "." is any character: "a", "i" and "2" go too.
    """
    return " ".join(word for word in text.split() if len(word) != 1)


def dstc10_filter(text: str) -> str:
    """Return a text without the words "," and ".".

    Source: DSTC8 ``dstc8avsd_eval`` and DSTC10 ``dstc10avsd_eval``, where the full stop is escaped. PTB drops both
    anyway.
    """
    return " ".join(word for word in text.split() if word not in (",", "."))


def iou1(predicted: Mapping[str, Sequence[Interval]], references: Mapping[str, Sequence[Interval]]) -> float:
    """Return the mean over all reference intervals of the best overlap of a predicted one, 0 where there is none.

    Source: DSTC10 ``dstc10avsd_eval/evaluation/evaluate.py``.
    """
    scores = [
        max((_iou(interval, other) for other in predicted.get(key, ())), default=0.0)
        for key, intervals in references.items()
        for interval in intervals
    ]
    return float(np.mean(scores)) if scores else 0.0


def iou2(predicted: Mapping[str, Sequence[Interval]], references: Mapping[str, Sequence[Interval]]) -> float:
    """Return the mean, over samples, of the overlap of all predicted with all reference intervals, in ticks of 0.1 s.

    Source: DSTC10 ``dstc10avsd_eval/evaluation/evaluate.py``.
    """
    scores = [_tick_iou(intervals, predicted.get(key, ())) for key, intervals in references.items()]
    return float(np.mean(scores)) if scores else 0.0


def _iou(one: Interval, other: Interval) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    apart = one[1] - one[0] + other[1] - other[0]
    return shared / (min(max(one[1], other[1]) - min(one[0], other[0]), apart) + _SMALL)


def _tick_iou(references: Sequence[Interval], predicted: Sequence[Interval]) -> float:
    if not predicted:
        return 0.0
    ends = np.array([*references, *predicted], dtype=np.float64)
    times = np.arange(int(ends[:, 0].min() / TICK_SEC), int(ends[:, 1].max() / TICK_SEC)) * TICK_SEC
    within = [
        np.any([(start <= times) & (times < end) for start, end in intervals], axis=0)
        for intervals in (references, predicted)
    ]
    return float(np.sum(within[0] & within[1]) / (np.sum(within[0] | within[1]) + _SMALL))


def answer_score(
    filtered: Callable[[str], str] = str,
    references: Callable[[str], str] = str,
    first_only: bool = False,
    unit: float = 1.0,
) -> Score:
    """Return a scorer of captions, CIDEr first.

    Args:
        filtered: Applied to predictions before they are tokenised.
        references: Applied to references before they are tokenised.
        first_only: Score against the first reference alone.
        unit: 100 to print percent.
    """

    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        metrics = caption_metrics(
            [filtered(sample.prediction) for sample in samples],
            [[references(text) for text in sample.references[: 1 if first_only else None]] for sample in samples],
            unit=unit,
        )
        return {"cider": metrics["cider"]} | metrics

    return score


_convention = functools.partial(Convention, check=find_java)

CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "avsd": {
        "dstc7-8": _convention(
            "dstc7-8",
            "DSTC7 dstc7avsd_eval: one-character words of the prediction deleted, all references, PTB, coco-caption",
            answer_score(dstc7_filter),
        ),
        "dstc8": _convention(
            "dstc8",
            "DSTC8 dstc8avsd_eval: the same with the corrected stop-word file",
            answer_score(dstc10_filter),
        ),
        "dstc10": _convention(
            "dstc10",
            "DSTC10 dstc10avsd_eval evaluation/evaluate.py: corrected filter on both sides",
            answer_score(dstc10_filter, dstc10_filter),
        ),
        "no-filter": _convention("no-filter", "pycocoevalcap 1.2: all references, no filter", answer_score()),
        "single-reference": _convention(
            "single-reference",
            "PAVE: first reference only, no filter, pycocoevalcap 1.2, times 100",
            answer_score(first_only=True, unit=100.0),
        ),
    }
}
