"""The probe tells the truth: what the shipped patch `hear` loses with wrong sound, and that one which never listens is
flagged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pave.blindspot.generate import MakeConfig, make
from pave.cli.arguments import parse
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.probe import SHUFFLED, Probe, run_probe
from pave.evaluation.shuffled import write_shuffled
from pave.training.config import Source, TrainConfig
from pave.training.train import train

CONFIGS = Path(__file__).parents[2] / "configs"
LENGTH_SEC = 8.0


def probed(patch: str, data: Path) -> Probe:
    settings = EvalSettings(batch_size=50, max_new_tokens=4, cache_video_tokens=True)
    found = run_probe(EvalConfig((data,), patches=(patch,), settings=settings))
    assert found is not None
    return found


def drops(probe: Probe) -> dict[str, float]:
    return {row.name: row.drop for row in probe.rows if row.drop is not None}


def heard(data: Path, shift_sec: float) -> float:
    """Return the percentage of answers that stay right for a perfect listener whose sound is moved by some seconds."""
    lines = (data / "scenes.jsonl").read_text("utf-8").splitlines()
    scenes = {line["clip"]: line["scene"] for line in map(json.loads, lines)}
    samples = list(map(json.loads, (data / "samples.jsonl").read_text("utf-8").splitlines()))
    shares = [still_right(sample, scenes[sample["video"]], shift_sec) for sample in samples]
    return 100 * sum(shares) / len(shares)


def still_right(sample: dict[str, Any], scene: dict[str, Any], shift_sec: float) -> float:
    """Return how likely the answer to a question of `hear` is still right; who hears nothing guesses blindly."""
    question, answer = sample["messages"][0]["content"], sample["answer"]
    events = {event["kind"]: (event["onset_sec"] + shift_sec) % LENGTH_SEC for event in scene["sounds"]}
    asked = {kind: time_sec for kind, time_sec in events.items() if kind in question}
    if sample["form"] == "first_sound":
        return float(min(asked, key=asked.__getitem__) == answer)
    if sample["form"] == "sounded":
        (thing,) = (solid for solid in scene["solids"] if f"{solid['colour']} {solid['shape']}" in question)
        kinds = [kind for kind, time_sec in events.items() if thing in shown(scene, time_sec)]
        return (answer in kinds) / len(kinds) if kinds else sample["blind"]
    (maker,) = (thing for time_sec in asked.values() for thing in shown(scene, time_sec))
    return float(answer in (maker["colour"], f"{maker['colour']} {maker['shape']}"))


def shown(scene: dict[str, Any], time_sec: float) -> Iterator[dict[str, Any]]:
    for solid in scene["solids"]:
        if any(start <= time_sec < end for start, end in solid["present_sec"]):
            yield solid


@pytest.mark.parametrize(
    ("count", "margin"), [pytest.param(80, 0.0, id="80"), pytest.param(600, 30.0, id="600", marks=pytest.mark.slow)]
)
def test_a_trained_patch_loses_what_wrong_sound_takes_away(count: int, margin: float, tmp_path: Path) -> None:
    data = make(MakeConfig("hear", count, 424_250, tmp_path / "set", workers=1)).samples.parent
    found = probed("hear", data)
    lost = drops(found)
    assert found.warnings == [] and found.rows[0].value >= 95
    assert lost[SHUFFLED] >= 30
    for seconds in (-5, -2, -1, 1, 2, 5):
        row = next(row for row in found.rows if row.name == f"shifted by {seconds:+d} s")
        assert row.drop >= margin
        low, high = row.interval
        # The patch hears what a perfect listener hears.
        assert low - 3 <= heard(data, seconds) <= high + 3


def read(name: str) -> TrainConfig:
    config = parse(TrainConfig, "pave train", [str(CONFIGS / name)])
    assert isinstance(config, TrainConfig)
    return config


def test_the_control_differs_from_the_shipped_patch_in_its_films_and_steps_alone() -> None:
    control, shipped = read("blindspot-hear-shuffled.yaml"), read("blindspot-hear.yaml")
    assert replace(control, out=shipped.out, data=shipped.data, steps=shipped.steps) == shipped


@pytest.mark.slow
def test_a_patch_trained_on_shuffled_sound_loses_nothing_and_is_flagged(tmp_path: Path) -> None:
    train_set = make(MakeConfig("hear", 1200, 31, tmp_path / "train", workers=1)).samples.parent
    write_shuffled(train_set, tmp_path / "shuffled")
    control = read("blindspot-hear-shuffled.yaml")
    train(replace(control, out=tmp_path / "patch", data=(Source(tmp_path / "shuffled"),), steps=150))
    data = make(MakeConfig("hear", 400, 424_251, tmp_path / "set", workers=1)).samples.parent
    found = probed(str(tmp_path / "patch"), data)
    assert all(abs(lost) < 10 for lost in drops(found).values())
    (shuffled,) = (row for row in found.rows if row.name == SHUFFLED)
    low, high = shuffled.drop_interval
    assert low <= 0 <= high
    assert found.warnings
    card = (tmp_path / "patch" / "README.md").read_text("utf-8")
    assert "> **Warning.** The real channel is no better than that of another clip" in card
