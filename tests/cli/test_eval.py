"""``pave eval`` from the command line: what scripts read, what stands in folders, and options that contradict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pave.cli import main
from pave.model import PaveModel
from tests.tiny import base_folder, patched, write_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "set", count=4, videos=2)


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("patches") / "audio"
    patched("llava_onevision").save_patch("audio", folder)
    return str(folder)


def last_line(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def mark_missing(data: Path, video: str) -> None:
    """Write a video's samples as preparing a benchmark leaves those whose media lack."""
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    changed = [{**line, "video": None, "missing": [video]} if line["video"] == video else line for line in lines]
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))


def test_json_without_an_out_folder(data: Path, patch: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--data", str(data), "--patch", patch, "--max-new-tokens", "3", "--json"]) == 0
    found = last_line(capsys)
    known = {"accuracy", "n", "skipped", "interval", "by_form", "by_track", "chance", "absent", "base", "patches"}
    assert known <= set(found) and found["n"] == 4 and found["patches"] == ["audio"]
    assert found["config"]["settings"]["max_new_tokens"] == 3 and found["metrics"]["accuracy"]["value"] is not None


def test_disturbed_channels(data: Path, patch: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "--data", str(data), "--patch", patch, "--max-new-tokens", "3", "--json"]
    assert main([*arguments, "--disturb", "keep=0.25,late_sec=1"]) == 0
    stated = last_line(capsys)["config"]["disturbance"]
    assert (stated["keep"], stated["late_sec"], stated["every"]) == (0.25, 1.0, 1)
    assert main([*arguments, "--disturb", "kep=0.25"]) == 2
    assert "write name=value with names of every" in capsys.readouterr().err


def test_another_seed_draws_another_disturbance(
    data: Path, patch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "--data", str(data), "--patch", patch, "--max-new-tokens", "3"]
    for name, disturb in (("plain", []), ("disturbed", ["--disturb", "keep=0.25"])):
        folder = ["--out", str(tmp_path / name), *disturb]
        assert main([*arguments, *folder]) == 0
        assert main([*arguments, *folder, "--seed", "1"]) == (2 if disturb else 0)
    assert "seed" in capsys.readouterr().err


def test_media_that_lack(data: Path, patch: str, capsys: pytest.CaptureFixture[str]) -> None:
    mark_missing(data, "clips/000001.mp4")
    arguments = ["eval", "blindspot", "--data", str(data), "--patch", patch, "--max-new-tokens", "3"]
    assert main([*arguments, "--json"]) == 0
    found = last_line(capsys)
    assert (found["n"], found["missing"], found["skipped"]) == (4, 2, 0)
    assert main([*arguments, "--skip-missing", "--json"]) == 0
    found = last_line(capsys)
    assert (found["n"], found["missing"], found["skipped_reasons"]) == (2, 2, {"missing media": 2})
    assert main(arguments) == 0
    assert "counted as wrong: 2 whose media lack" in capsys.readouterr().out
    mark_missing(data, "clips/000000.mp4")
    assert main(arguments) == 2
    assert "all 4 samples lack media" in capsys.readouterr().err


def test_shard_by_shard(data: Path, patch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "--data", str(data), "--patch", patch, "--max-new-tokens", "3", "--batch-size", "2"]
    shared = [*arguments, "--out", str(tmp_path / "out"), "--json", "--shard"]
    assert main([*shared, "2/2"]) == 0
    assert last_line(capsys) == {"finished": False}
    assert main([*shared, "1/2"]) == 0
    parts = last_line(capsys)
    assert main([*arguments, "--json"]) == 0
    assert last_line(capsys)["accuracy"] == parts["accuracy"]


@pytest.mark.parametrize("way", [[], ["--probe"], ["--compare", "base,patch:"]], ids=["eval", "probe", "compare"])
def test_no_java_is_said_before_a_model_is_loaded(
    way: list[str],
    patch: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_data(tmp_path / "set", count=2, videos=2, benchmark="avsd", references=["yes"])
    monkeypatch.setattr(PaveModel, "from_base", None)
    monkeypatch.setattr("pave.evaluation.conventions.java.shutil.which", lambda name: None)
    models = [*way[:-1], way[-1] + patch] if "--compare" in way else [*way, "--patch", patch]
    assert main(["eval", "--data", str(data), *models]) == 2
    captured = capsys.readouterr()
    assert "need Java, and no 'java' is on PATH" in captured.err and len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3/2", "--out", "out"], "shard is 3/2; write i/n with i from 1 to n"),
        (["--shard", "half"], "--shard half: write i/n, such as 2/4"),
        (["--shard", "1/2"], "a shard needs --out"),
        (["--compare", "base,patch:x", "--probe"], "leave --patch and --probe out"),
        (["--only", "form=ordre"], "no sample has form 'ordre'; mend --only"),
        (["--convention", "exakt"], "unknown convention 'exakt' of blindspot"),
        (["--frames", "4", "--probe"], "no patch reads a side channel"),
    ],
)
def test_options_that_cannot_be(
    data: Path, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(base_folder("llava_onevision"))
    assert main(["eval", "--data", str(data), "--base", base, *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1
