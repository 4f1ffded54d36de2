"""MUSIC-AVQA, Ego-Exo4D and AVQA: what a substring finds, and what it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pave.errors import InputError
from pave.evaluation.conventions import get
from pave.evaluation.conventions.ego_exo4d import official_scores
from pave.evaluation.conventions.music_avqa import LABELS, closed_set, question_tokens

from .samples import scored


def value(family: str, name: str, prediction: str, reference: str, **fields: Any) -> float:
    return next(iter(get(family, name).score([scored(prediction, reference, **fields)]).values())).value


def test_there_are_42_labels() -> None:
    assert len(LABELS) == len(set(LABELS)) == 42


@pytest.mark.parametrize(
    ("prediction", "reference", "reference_score", "strict", "closed"),
    [
        ("piano", "no", 100, 0, 0),
        ("saxophone", "one", 100, 0, 0),
        ("more than ten", "ten", 100, 0, 0),
        ("No.", "no", 100, 100, 100),
        ("The answer is two", "two", 100, 0, 100),
        ("2", "two", 0, 0, 100),
        ("More than 10.", "more than ten", 0, 0, 100),
        ("acoustic guitar", "acoustic_guitar", 0, 0, 100),
        ("yes or no", "yes", 100, 0, 0),
        ("a violin and a Violin", "violin", 100, 0, 100),
        ("I cannot tell", "no", 100, 0, 0),
    ],
)
def test_music_avqa(prediction: str, reference: str, reference_score: int, strict: int, closed: int) -> None:
    found = [value("music-avqa", name, prediction, reference) for name in ("reference", "strict", "closed-set")]
    assert found == [reference_score, strict, closed]


def test_closed_set_names_labels_as_the_files_write_them() -> None:
    assert closed_set("An Electric Bass!") == "electric_bass"
    assert closed_set("ten") == "ten"
    assert closed_set("eleven") is None


def test_slots_may_be_a_list_or_json() -> None:
    assert (
        question_tokens("Is it <LR>?", ["left"]) == question_tokens("Is it <LR>? ", '["left"]') == ["Is", "it", "left"]
    )


def test_ego_exo_strict_takes_one_level_only() -> None:
    assert value("ego-exo4d", "reference", "Early Expert or Late Expert", "Late Expert") == 100
    assert value("ego-exo4d", "strict", "Early Expert or Late Expert", "Late Expert") == 0
    assert value("ego-exo4d", "strict", "late expert.", "Late Expert") == 100


def test_ego_exo_balanced_is_the_mean_over_levels() -> None:
    levels = ["Novice", "Novice", "Novice", "Late Expert"]
    samples = [scored("Novice", level, name=str(number)) for number, level in enumerate(levels)]
    metrics = get("ego-exo4d", "balanced").score(samples)
    assert list(metrics) == ["balanced_accuracy", "accuracy"]
    assert [metric.value for metric in metrics.values()] == [50.0, 75.0]
    assert next(iter(get("ego-exo4d", "strict").score(samples))) == "accuracy"


def test_ego_exo_submission_is_checked() -> None:
    truth = {"videos": ["a"], "gt_annotations": [0], "scenario_names": ["Dance"]}
    submission = {
        "videos": ["a"],
        "ego_model_predictions": [[1, 0, 0, 0]],
        "exo_model_predictions": np.zeros((1, 4, 4)),
    }
    assert official_scores(submission, truth, "exo")["accuracy"] == 1.0
    with pytest.raises(InputError, match="videos of prediction and ground truth differ"):
        official_scores({**submission, "videos": ["b"]}, truth, "ego")
    with pytest.raises(InputError, match=r"shape \(1, 3, 4\)"):
        official_scores({**submission, "exo_model_predictions": np.zeros((1, 3, 4))}, truth, "exo")


def test_avqa_reference_finds_letters_in_words() -> None:
    choices = ["dog", "train", "rain", "piano"]
    assert value("avqa", "reference", "Answer: C", "A", choices=choices) == 100
    assert value("avqa", "pave", "Answer: C", "A", choices=choices) == 0
    assert value("avqa", "pave", "Answer: C", "C", choices=choices) == 100


def test_blindspot_takes_any_reference() -> None:
    samples = [scored("Red cube.", "blue cube", "red cube", form="colour")]
    assert get("blindspot", "exact").score(samples)["accuracy"].value == 100.0
    assert get("blindspot", "exact").group(samples[0]) == "colour"
