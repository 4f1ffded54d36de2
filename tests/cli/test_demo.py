"""``pave demo`` runs from one command, says what it found, can be repeated, and overwrites nobody's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pave import LoraSpec, PatchConfig, PaveModel, Preprocessing
from pave.blindspot.tiny_base import FRAME_COUNT, build_model, build_processor
from pave.cli import main
from tests.batches import randomize


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base of the shipped one's shape, and a patch that hears with random weights."""
    folder = tmp_path_factory.mktemp("demo")
    build_model(seed=0).save_pretrained(folder / "base")
    build_processor().save_pretrained(folder / "base")
    model = PaveModel.from_base(folder / "base")
    config = PatchConfig("audio", 256, hidden_dim=16, heads=2)
    model.add_patch("audio", config, LoraSpec(r=2), Preprocessing(FRAME_COUNT, {"type": "log_mel"}))
    randomize(model, "audio")
    model.save_patch("audio", folder / "patch")
    return folder / "patch"


def demo(capsys: pytest.CaptureFixture[str], patch: Path, out: Path, *arguments: str) -> dict:
    small = ("--count", "6", "--films", "1", "--workers", "1", "--patch", str(patch), "--out", str(out))
    assert main(["demo", *small, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_same_seed_gives_the_same_demo(capsys: pytest.CaptureFixture[str], patch: Path, tmp_path: Path) -> None:
    first = demo(capsys, patch, tmp_path / "a")
    assert first["base"]["n"] == first["patched"]["n"] == 6
    assert first["base"]["patches"] == [] and first["patched"]["patches"] == ["audio"]
    assert 0 < first["base"]["chance"] < 1
    page = Path(first["report"]).read_text()
    assert f"--seed {first['seed']}" in page and "what the patch reads" in page
    record = json.loads((tmp_path / "a" / "demo.json").read_text())
    assert record["seed"] == first["seed"] and record["base"] == first["base"]
    second = demo(capsys, patch, tmp_path / "b", "--seed", str(first["seed"]))
    assert second["base"]["accuracy"] == first["base"]["accuracy"]
    for name in ("films/samples.jsonl", "quiz/samples.jsonl", "quiz/scenes.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "b" / "report.html").read_text() == page.replace(str(tmp_path / "a"), str(tmp_path / "b"))
    third = demo(capsys, patch, tmp_path / "b")
    assert third["seed"] != first["seed"]
    assert not list(tmp_path.glob(".*"))


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
    for arguments in (["--count", "0"], ["--seed", "-1"], ["--patch", "haer"]):
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
