"""The shipped patches: they hear, their base does not, and what the frames show is still seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave import PaveModel
from pave.blindspot.generate import MakeConfig, make
from pave.data.jsonl import read_samples
from pave.evaluation.config import EvalSettings
from pave.evaluation.run import evaluate

SETTINGS = EvalSettings(batch_size=32, max_new_tokens=4, cache_video_tokens=True)


@pytest.fixture(scope="module")
def model() -> PaveModel:
    return PaveModel.from_pretrained("hear")


def test_hear(model: PaveModel, tmp_path: Path) -> None:
    samples = read_samples(make(MakeConfig("hear", 200, 424_242, tmp_path / "hear", workers=1)).samples)
    patched = evaluate(model, samples, SETTINGS)
    base = evaluate(model, samples, SETTINGS, base_only=True)
    assert patched.chance is not None
    assert patched.accuracy >= 0.95
    assert base.accuracy <= patched.chance + 0.12


def test_see(model: PaveModel, tmp_path: Path) -> None:
    samples = read_samples(make(MakeConfig("see", 200, 424_243, tmp_path / "see", workers=1)).samples)
    patched = evaluate(model, samples, SETTINGS)
    base = evaluate(model, samples, SETTINGS, base_only=True)
    assert base.accuracy >= 0.95
    assert patched.accuracy >= base.accuracy - 0.02
