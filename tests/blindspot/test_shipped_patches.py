"""The shipped patches: each answers its track, its base does not, and what the frames show is still seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pave import PaveModel
from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.tracks import TRACKS
from pave.card import CONFIGURATION
from pave.checkpoint import locate_patch, read_spec
from pave.cli.arguments import parse
from pave.data.jsonl import read_samples
from pave.evaluation.config import EvalSettings
from pave.evaluation.run import evaluate
from pave.shipped import shipped_patches
from pave.training.config import TrainConfig
from pave.training.facts import configuration_of
from pave.types import Sample

CONFIGS = Path(__file__).parents[2] / "configs"
SETTINGS = EvalSettings(batch_size=32, max_new_tokens=4, cache_video_tokens=True)


@pytest.fixture(scope="module", params=shipped_patches())
def track(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(track: str) -> PaveModel:
    return PaveModel.from_pretrained(track)


def made(track: str, seed: int, out: Path, channels: tuple[str, ...] = (), count: int = 104) -> list[Sample]:
    config = MakeConfig(track, count, seed, out, questions_per_clip=8, workers=1, channels=channels)
    return read_samples(make(config).samples)


def test_it_answers_its_track_and_the_base_does_not(model: PaveModel, track: str, tmp_path: Path) -> None:
    samples = made(track, 424_242, tmp_path / track)
    patched = evaluate(model, samples, SETTINGS)
    base = evaluate(model, samples, SETTINGS, base_only=True)
    assert patched.chance is not None
    assert patched.accuracy >= 0.9
    assert base.accuracy <= patched.chance + 0.12


def test_what_the_frames_show_is_still_seen(model: PaveModel, track: str, tmp_path: Path) -> None:
    channels = tuple(channel for channel in TRACKS[track].channels if channel != "audio")
    samples = made("see", 424_243, tmp_path / "see", channels)
    patched = evaluate(model, samples, SETTINGS)
    base = evaluate(model, samples, SETTINGS, base_only=True)
    assert base.accuracy >= 0.95
    assert patched.accuracy >= base.accuracy - 0.02


def test_two_that_were_trained_apart_answer_together_what_neither_does_alone(tmp_path: Path) -> None:
    samples = made("both", 424_244, tmp_path / "both", count=200)
    model = PaveModel.from_pretrained("hear")
    model.load_patch("views")
    together = evaluate(model, samples, SETTINGS)
    balanced = evaluate(model, samples, replace(SETTINGS, balance=True))
    assert together.chance is not None
    assert together.accuracy >= together.chance + 0.25
    assert balanced.accuracy >= max(0.8, together.accuracy)
    for name in TRACKS["both"].channels:
        model.set_patches([name])
        assert evaluate(model, samples, SETTINGS).accuracy <= together.chance + 0.12


def test_its_facts_hold_the_configuration_in_the_repository(track: str) -> None:
    config = parse(TrainConfig, "pave train", [str(CONFIGS / f"blindspot-{track}.yaml")])
    assert read_spec(locate_patch(track)).training[CONFIGURATION] == configuration_of(config)
