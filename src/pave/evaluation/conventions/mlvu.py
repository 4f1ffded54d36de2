"""MLVU: multiple choice of seven tasks in percent, and the scores of its judged tasks.

``m_avg`` is the mean of the tasks' accuracies, ``accuracy`` is over all questions; which one a source publishes comes
first. The two differ because tasks differ in size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pave.evaluation.conventions.accuracy import hits
from pave.evaluation.conventions.convention import (
    Convention,
    Metric,
    Score,
    Scored,
    checked,
    macro_metric,
    mean_metric,
)
from pave.evaluation.conventions.letters import before_bracket, ranked_letter
from pave.evaluation.conventions.multiple_choice import PAVE_SOURCE, lettered_answer, pave_letter, right_letter

JUDGED = ("score_accuracy", "score_relevance", "score_completeness", "score_reliability")
"""Keys of the judge's reply: two for sub-scene, two for summary, 1 to 5 each."""


def official_match(prediction: str, reference: str) -> bool:
    """Whether the character before the first ")" is the same on both sides; case and white space count.

    Source: JUNJIE99/MLVU ``evaluation/multiple_choice_evaluation/choice_bench.py`` ``check_ans``.
    """
    return before_bracket(prediction) == before_bracket(reference)


def lmms_letter(prediction: str) -> str:
    """Return the character before the first ")", or all of the stripped text.

    Source: lmms-eval 0.2 and 0.3 ``tasks/mlvu/utils.py``.
    """
    return before_bracket(prediction.strip())


def extract_scores(reply: str) -> list[float]:
    """Return the scores of a judge's reply, those of :data:`JUDGED` that it names, in that order.

    Source: JUNJIE99/MLVU ``evaluation/generation_evaluation/calculate.py``: what stands from two characters after the
    colon to the next comma.

    Raises:
        ValueError: If no number stands there.
    """
    scores = []
    for key in JUDGED:
        if (place := reply.find(key)) >= 0:
            start = reply.find(":", place) + 2
            scores.append(float(reply[start : reply.find(",", start)]))
    return scores


def averages(right: Sequence[float] | np.ndarray, tasks: Sequence[str]) -> dict[str, Metric]:
    """Return ``m_avg``, over tasks, and ``accuracy``, over questions.

    Sources: the first JUNJIE99/MLVU and lmms-eval since 0.3 (2025-02-27), the second VLMEvalKit and lmms-eval 0.2.
    """
    return {"m_avg": macro_metric(right, tasks), "accuracy": mean_metric(right)}


def _score(match: Callable[[Scored], bool], pooled: bool = False) -> Score:
    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        found = averages(hits(match, samples), [str(sample.fields.get("category")) for sample in samples])
        return dict(reversed(found.items())) if pooled else found

    return score


def _lmms_match(sample: Scored) -> bool:
    return lmms_letter(sample.prediction) == right_letter(sample)


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "mlvu": {
        "lmms-eval-0.7": Convention(
            "lmms-eval-0.7",
            "lmms-eval since 2026-04-11 tasks/mlvu/utils.py: ranked parser, A to D, mean of tasks",
            _score(lambda sample: ranked_letter(sample.prediction) == right_letter(sample)),
        ),
        "lmms-eval-0.3": Convention(
            "lmms-eval-0.3",
            "lmms-eval 0.3 tasks/mlvu/utils.py: character before the first bracket, mean of tasks",
            _score(_lmms_match),
        ),
        "reference": Convention(
            "reference",
            "PAVE, which scores through lmms-eval 0.2: the same characters, over all questions",
            _score(_lmms_match, pooled=True),
        ),
        "official": Convention(
            "official",
            "JUNJIE99/MLVU evaluation/multiple_choice_evaluation/choice_bench.py",
            _score(lambda sample: official_match(sample.prediction, lettered_answer(sample))),
        ),
        "pave": Convention("pave", PAVE_SOURCE, _score(lambda sample: pave_letter(sample) == right_letter(sample))),
    }
}
