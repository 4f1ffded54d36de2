"""``pave demo`` runs from one command, says what it found, can be repeated, and overwrites nobody's files."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from pave import LoraSpec, PatchConfig, PaveModel, Preprocessing
from pave.blindspot.demo import DemoConfig, _command
from pave.blindspot.tiny_base import FRAME_COUNT, build_model, build_processor
from pave.cli import main
from tests.batches import randomize

CHANNELS = {
    "hear": ("audio", 256, {"type": "log_mel"}),
    "depth": (
        "depth",
        10,
        {"type": "depth", "vision": "none", "grid": [2, 2], "frequencies": [1.0], "extent_m": 70.0},
    ),
    "views": ("views", 96, {"type": "views", "frame_rate": 1.0}),
    "blink": ("frames", 96, {"type": "frames", "grid": [1, 1]}),
}
"""Of each track: channel, side width and encoder of its patch."""


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch that hears, with random weights, on an untrained base like the shipped one; beside it the others."""
    folder = tmp_path_factory.mktemp("demo")
    build_model(seed=0).save_pretrained(folder / "base")
    build_processor().save_pretrained(folder / "base")
    for track, (channel, width, encoder) in CHANNELS.items():
        model = PaveModel.from_base(folder / "base")
        config = PatchConfig(channel, width, hidden_dim=16, heads=2)
        model.add_patch(channel, config, LoraSpec(r=2), Preprocessing(FRAME_COUNT, encoder))
        randomize(model, channel)
        model.save_patch(channel, folder / track)
    return folder / "hear"


def demo(capsys: pytest.CaptureFixture[str], patch: Path, out: Path, *arguments: str) -> dict:
    small = ("--count", "6", "--films", "1", "--workers", "1", "--patch", str(patch), "--out", str(out))
    assert main(["demo", *small, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_same_seed_gives_the_same_demo(capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path) -> None:
    first = demo(capsys, patch, tmp_path / "a")
    assert list(first["tracks"]) == ["hear"]
    base, patched = (first["tracks"]["hear"][model] for model in ("base", "patched"))
    assert base["n"] == patched["n"] == 6
    assert base["patches"] == [] and patched["patches"] == ["audio"]
    assert 0 < base["chance"] < 1
    page = Path(first["report"]).read_text()
    assert f"--seed {first['seed']}" in page and "what the patch reads" in page
    record = json.loads((tmp_path / "a" / "demo.json").read_text())
    assert record["seed"] == first["seed"] and record["tracks"] == first["tracks"]
    second = demo(capsys, patch, tmp_path / "b", "--seed", str(first["seed"]))
    assert second["tracks"]["hear"]["base"]["accuracy"] == base["accuracy"]
    for name in ("films/hear/samples.jsonl", "quiz/hear/samples.jsonl", "quiz/hear/scenes.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "b" / "report.html").read_text() == page.replace(str(tmp_path / "a"), str(tmp_path / "b"))
    third = demo(capsys, patch, tmp_path / "b")
    assert third["seed"] != first["seed"]
    assert not list(tmp_path.glob(".*"))


def test_every_track_with_a_shipped_patch_is_in_one_table(
    capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = {track: patch.parent / track for track in CHANNELS}
    for module in ("pave.shipped", "pave.checkpoint", "pave.blindspot.demo"):
        monkeypatch.setattr(f"{module}.shipped_patches", lambda: shipped, raising=False)
    small = ["--count", "2", "--films", "1", "--workers", "1", "--seed", "5"]
    assert main(["demo", *small, "--out", str(tmp_path / "all")]) == 0
    printed = capsys.readouterr().out
    assert all(track in printed for track in CHANNELS)
    page = (tmp_path / "all" / "report.html").read_text()
    for words in ("what sounds", "how far away", "from left", "from right", "8 frames a second", "questions about"):
        assert words in page
    assert page.count("what the patch reads") == len(CHANNELS)
    assert list(json.loads((tmp_path / "all" / "demo.json").read_text())["tracks"]) == list(CHANNELS)
    assert main(["demo", *small, "--track", "views", "--out", str(tmp_path / "all"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["tracks"]) == ["views"]
    del shipped["views"]
    assert main(["demo", *small, "--track", "views", "--out", str(tmp_path / "all")]) == 2
    assert "no patch for track 'views' is shipped (hear, depth, blink are)" in capsys.readouterr().err


def test_a_patch_is_shown_on_the_track_of_its_channel(
    capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path
) -> None:
    found = demo(capsys, patch.parent / "blink", tmp_path / "out")
    assert list(found["tracks"]) == ["blink"]
    assert (tmp_path / "out" / "films" / "blink" / "clips").is_dir()


def test_the_table_shows_question_truth_and_both_answers(
    capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path
) -> None:
    arguments = ["--count", "2", "--films", "1", "--workers", "1", "--patch", str(patch), "--seed", "3"]
    assert main(["demo", *arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    for word in ("question", "truth", "base", "patched", "95 % interval", "chance", "seed 3", "report.html"):
        assert word in printed


@pytest.mark.parametrize("names", [["thesis.txt"], ["demo.json"], ["report.html"]])
def test_refuses_a_folder_that_no_demo_made(
    capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--patch", str(patch)]) == 2
    captured = capsys.readouterr()
    assert "choose another --out" in captured.err and len(captured.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_refuses_a_demo_that_someone_added_to(capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"made_by": "pave demo"}')
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--patch", str(patch)]) == 2
    assert "'thesis.txt'" in capsys.readouterr().err


def test_wrong_settings_write_nothing(capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments in (["--count", "0"], ["--seed", "-1"], ["--patch", "haer"], ["--track", "haer"]):
        assert main(["demo", "--out", str(out), "--patch", str(patch), *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_failure_on_the_way_leaves_the_earlier_demo(
    capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "demo.json").write_text('{"made_by": "pave demo"}')

    def fail(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("no power")

    monkeypatch.setattr("pave.blindspot.demo.render_report", fail)
    assert (
        main(["demo", "--out", str(out), "--count", "2", "--films", "1", "--workers", "1", "--patch", str(patch)]) == 1
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["demo.json"]


def test_the_command_can_be_pasted_whatever_names_hold() -> None:
    command = _command(DemoConfig(patch="my patches/it's one", base="bases/a"), 7)
    said = shlex.split(command)
    assert said == ["pave", "demo", "--patch", "my patches/it's one", "--base", "bases/a", "--seed", "7"]
