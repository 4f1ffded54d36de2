"""Ego-Exo4D demonstrator proficiency: four levels, of a text or of the logits that the official server takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from pave.errors import InputError
from pave.evaluation.conventions.accuracy import Match, hits, plain
from pave.evaluation.conventions.convention import (
    Convention,
    Metric,
    Score,
    Scored,
    checked,
    macro_metric,
    mean_metric,
)

LEVELS = ("Novice", "Early Expert", "Intermediate Expert", "Late Expert")
"""In order of skill, which is also the order of the official class numbers."""

EXO_VIEWS = 4
"""Cameras beside the own one that the official scorer wants."""


def substring(prediction: str, reference: str) -> bool:
    """Whether the level stands in the prediction, case included; one that lists several levels has all.

    Source: PAVE's evaluation script.
    """
    return reference in prediction


def strict(prediction: str, reference: str) -> bool:
    """Whether the prediction is the level, case, outer white space and one full stop at the end aside.

    Source: this project.
    """
    return plain(prediction) == reference.strip().lower()


def _any(rule: Callable[[str, str], bool]) -> Match:
    return lambda sample: any(rule(sample.prediction, text) for text in sample.references)


def _balanced(match: Match, accuracy_first: bool) -> Score:
    @checked
    def score(samples: Sequence[Scored]) -> dict[str, Metric]:
        right = hits(match, samples)
        accuracy = {"accuracy": mean_metric(right)}
        balanced = {"balanced_accuracy": macro_metric(right, [sample.references[0] for sample in samples])}
        return accuracy | balanced if accuracy_first else balanced | accuracy

    return score


def official_scores(
    prediction: Mapping[str, Any], truth: Mapping[str, Any], view: Literal["ego", "exo", "combined"]
) -> dict[str, Any]:
    """Score a submission of logits.

    Source: EGO4D/ego-exo4d-proficiency ``demonstrator_proficiency/eval_script.py``.

    Args:
        prediction: ``videos``, ``ego_model_predictions`` (n,4) and ``exo_model_predictions`` (n,4 views,4), logits.
        truth: ``videos``, ``gt_annotations`` (n,) class numbers, ``scenario_names``.
        view: Logits of the ego camera as they are, or the mean probability of the exo cameras, or of all five.

    Returns:
        ``accuracy`` and ``by_scenario``, 0 to 1; of equal scores the lower class is taken.

    Raises:
        InputError: If the videos are not the same in the same order, or there are not four exo views.
    """
    if list(prediction["videos"]) != list(truth["videos"]):
        raise InputError("videos of prediction and ground truth differ; give the same ones in the same order")
    ego = np.asarray(prediction["ego_model_predictions"], dtype=np.float64)
    exo = np.asarray(prediction["exo_model_predictions"], dtype=np.float64)
    if exo.shape != (len(ego), EXO_VIEWS, len(LEVELS)):
        raise InputError(f"exo_model_predictions has shape {exo.shape}; it must be ({len(ego)}, 4 views, 4 levels)")
    cameras = {"ego": ego[:, None], "exo": exo, "combined": np.concatenate([ego[:, None], exo], axis=1)}[view]
    scores = ego if view == "ego" else _softmax(cameras).mean(axis=1)
    right = scores.argmax(axis=1) == np.asarray(truth["gt_annotations"])
    names = np.asarray(truth["scenario_names"])
    return {
        "accuracy": float(right.mean()),
        "by_scenario": {str(name): float(right[names == name].mean()) for name in dict.fromkeys(names.tolist())},
    }


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "ego-exo4d": {
        "strict": Convention(
            "strict", "this project: the answer is the level; accuracy first", _balanced(_any(strict), True)
        ),
        "reference": Convention(
            "reference",
            "PAVE: the level is a substring of the prediction, case included",
            _balanced(_any(substring), True),
        ),
        "balanced": Convention(
            "balanced",
            "this project: strict, and the mean over levels of the share that is right comes first",
            _balanced(_any(strict), False),
        ),
    }
}
