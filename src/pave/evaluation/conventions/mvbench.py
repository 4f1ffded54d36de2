"""MVBench: two to five choices, 20 tasks; accuracy in percent, and ``task_mean``, the mean of the tasks'.

An empty prediction counts as wrong, also where its source lets it match anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pave.evaluation.conventions.accuracy import Match, hits
from pave.evaluation.conventions.convention import (
    Convention,
    Metric,
    Score,
    Scored,
    checked,
    macro_metric,
    mean_metric,
    ratio_metric,
)
from pave.evaluation.conventions.letters import mvbench_reading, option_token_match
from pave.evaluation.conventions.multiple_choice import PAVE_SOURCE, lettered_answer, pave_letter, right_letter


def task_of(sample: Scored) -> str:
    """Return the task of a sample, its field ``category``."""
    return str(sample.fields.get("category"))


def _score(match: Match, spoken_only: bool = False) -> Score:
    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        right = hits(match, samples)
        spoken = np.array([float(not sample.empty) for sample in samples])
        means = {"task_mean": macro_metric(right, [task_of(sample) for sample in samples])}
        if spoken_only:
            return {"accuracy": ratio_metric(right, spoken), "accuracy_all": mean_metric(right)} | means
        return {"accuracy": mean_metric(right)} | means

    return score


def lmms_match(prediction: str, letter: str) -> bool:
    """Whether lmms-eval reads the right letter.

    Source: lmms-eval ``tasks/mvbench/utils.py`` ``mcq_acc``.
    """
    return mvbench_reading(prediction) == mvbench_reading(letter)


def official_match(prediction: str, reference: str) -> bool:
    """Whether the first words of an answer and of "(A) …" hold one another.

    Source: OpenGVLab/Ask-Anything ``video_chat2/mvbench.ipynb`` ``check_ans``.
    """
    return option_token_match(prediction, reference)


def vlmevalkit_match(prediction: str, reference: str) -> bool:
    """Whether :func:`official_match` holds of stripped texts.

    Source: VLMEvalKit ``vlmeval/dataset/utils/mvbench.py``, without its judge.
    """
    return option_token_match(prediction.strip(), reference.strip())


def answered_accuracy(scores: Sequence[float], predictions: Sequence[str]) -> float:
    """Return the percentage of right answers among those that are not empty.

    Source: lmms-eval ``tasks/mvbench/utils.py``.
    """
    return ratio_metric(scores, [float(text != "") for text in predictions]).value


_LMMS = _score(lambda sample: lmms_match(sample.prediction, right_letter(sample)), spoken_only=True)

CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "mvbench": {
        "lmms-eval": Convention(
            "lmms-eval", "lmms-eval 0.2 to 0.7 tasks/mvbench/utils.py: empty answers are not counted", _LMMS
        ),
        "reference": Convention("reference", "PAVE, which scores through lmms-eval 0.2", _LMMS),
        "official": Convention(
            "official",
            "OpenGVLab/Ask-Anything video_chat2/mvbench.ipynb check_ans: first words hold one another",
            _score(lambda sample: official_match(sample.prediction, lettered_answer(sample))),
        ),
        "vlmevalkit": Convention(
            "vlmevalkit",
            "open-compass/VLMEvalKit vlmeval/dataset/utils/mvbench.py, without its judge",
            _score(lambda sample: vlmevalkit_match(sample.prediction, lettered_answer(sample))),
        ),
        "pave": Convention("pave", PAVE_SOURCE, _score(lambda sample: pave_letter(sample) == right_letter(sample))),
    }
}
