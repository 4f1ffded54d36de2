"""Training the tiny base: lessons train what inference does, one seed gives one set of weights, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave.blindspot import train_base as module
from pave.blindspot.learning import answer_logits, collate
from pave.blindspot.lessons import Lesson, make_lessons
from pave.blindspot.tiny_base import FAMILIES, architecture
from pave.blindspot.train_base import BaseConfig, train_base, video_shape
from pave.errors import InputError


def _config(out: Path, **more: Any) -> BaseConfig:
    small = {"sight_steps": 2, "still_count": 40, "stills_per_step": 8, "steps": 3, "film_count": 4, "text_count": 4}
    small |= {"films_per_step": 2, "texts_per_step": 2, "workers": 1, "test_questions": 2}
    return BaseConfig(**{"out": out, **small, **more})


def _alone(lesson: Lesson, number: int) -> Lesson:
    """One question of a lesson as it is asked outside of training: the prefix, then the question, nothing else."""
    own = (lesson.block == 0) | (lesson.block == number)
    return replace(
        lesson,
        tokens=lesson.tokens[own],
        block=np.zeros(own.sum(), np.int16),
        positions=np.arange(own.sum()),
        learned=lesson.learned[own],
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["film", "text"])
def test_a_question_among_others_is_answered_as_if_asked_alone(kind: str, family: str) -> None:
    made = architecture(family)
    model = made.model(0).eval()
    first, second = make_lessons(kind, 2, 1, video_shape(made), workers=1)
    with torch.no_grad():
        together, _ = answer_logits(made, model, collate([first, second], None))
        alone = [
            answer_logits(made, model, collate([_alone(lesson, number)], None))[0]
            for lesson in (first, second)
            for number in range(1, len(lesson.forms) + 1)
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_seed_gives_one_set_of_weights_and_a_card(tmp_path: Path, family: str) -> None:
    seeds = {"a": 1, "b": 1, "c": 2}
    reports = [train_base(_config(tmp_path / name, seed=seed, family=family)) for name, seed in seeds.items()]
    first, again, other = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert set(reports[0].tracks) == {"see", "hear"}
    card = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    chosen = "" if family == "llava_onevision" else f" --family {family}"
    assert f"pave blindspot train-base --out DIR --seed 1{chosen}\n" in card
    assert f"`{reports[0].model_class}` of {reports[0].weights:,} weights" in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(module, "write_card", fail)
    with pytest.raises(RuntimeError, match="stop"):
        train_base(_config(tmp_path / "base"))
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        train_base(_config(tmp_path))


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tiny base of family 'qwen2_6_vl'"):
        _config(tmp_path / "base", family="qwen2_6_vl")


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("seed", -1), ("test_questions", 0)])
def test_bad_values_are_named(tmp_path: Path, field: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{field} is {value}"):
        _config(tmp_path / "base", **{field: value})
