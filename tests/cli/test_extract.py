"""``pave extract`` takes a patch, a training file or settings, and says what became of every file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from pave.cli import main
from pave.config import PatchConfig, Preprocessing
from pave.data.extract_worker import VIDEO
from pave.data.store import FeatureStore
from pave.encoders.log_mel import LogMelEncoder
from pave.model import PaveModel
from tests.cli import calls
from tests.data.test_extract import data  # noqa: F401
from tests.data.test_store import files
from tests.tiny import base_folder

BASE = base_folder("llava_onevision")
ENCODER = {"type": "log_mel", "mels": 4}
PATCH = PatchConfig("audio", 16, hidden_dim=16, heads=2)

refused = partial(calls.refused, "extract")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["extract", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    model = PaveModel.from_base(BASE)
    model.add_patch("audio", PATCH, None, Preprocessing(4, ENCODER))
    model.save_patch("audio", tmp_path / "patch")
    return tmp_path / "patch"


@pytest.fixture
def training(tmp_path: Path, data: Path) -> Path:  # noqa: F811
    config = {
        "base": str(BASE),
        "out": str(tmp_path / "out"),
        "data": [{"path": str(data)}],
        "preprocessing": {"frames": 4, "encoder": ENCODER},
        "patch": {"channel": "audio", "side_dim": 16, "hidden_dim": 16, "heads": 2},
        "precision": "fp32",
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "run.yaml"


def test_patch_and_training_file_and_settings_ask_for_the_same(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    data: Path,  # noqa: F811
    patch: Path,
    training: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = tmp_path / "store"
    first = run(capsys, "--store", store, "--data", data, "--patch", patch, "--video-tokens")
    assert first["channels"] == {
        VIDEO: {"done": 3, "cached": 0, "absent": 0, "skipped": 0},
        "audio": {"done": 3, "cached": 0, "absent": 1, "skipped": 1},
    }
    assert [skip["file"] for skip in first["skipped"]] == [str(data / "clips" / "broken.mp4")]
    before = files(store)
    monkeypatch.setattr(LogMelEncoder, "encode", None)
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"frames": 4, "encoder": ENCODER}))
    for asker in (
        ["--training", training],
        ["--data", data, "--preprocessing", patch / "preprocessing.json", "--channel", "audio", "--base", BASE],
        ["--preprocessing", settings, "--channel", "audio", "--base", BASE, "--data", data],
    ):
        again = run(capsys, "--store", store, *asker, "--video-tokens")
        assert {channel: counts["cached"] for channel, counts in again["channels"].items()} == {VIDEO: 3, "audio": 3}
    assert files(store) == before


def test_table_and_strict(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path, patch: Path) -> None:  # noqa: F811
    arguments = ["--store", tmp_path / "store", "--data", data, "--patch", patch]
    assert main(["extract", *map(str, arguments)]) == 0
    printed = capsys.readouterr().out
    assert "done   cached   absent   skipped" in printed and "audio" in printed
    assert f"skipped 1, first {data / 'clips' / 'broken.mp4'}: not a media file" in printed
    assert calls.call("extract", *arguments, "--strict") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("pave: 1 files were skipped, first ") and "broken.mp4: not a media file" in line


def test_options_reach_the_store(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    data: Path,  # noqa: F811
    patch: Path,
) -> None:
    arguments = ["--store", tmp_path / "store", "--data", data, "--patch", patch]
    run(capsys, *arguments, "--dtype", "fp16")
    assert FeatureStore(tmp_path / "store").dtype == "fp16"
    assert "a store of fp16, not bf16" in refused(capsys, *arguments, "--dtype", "bf16")
    (shard,) = (tmp_path / "store" / "shards").glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1])
    assert run(capsys, *arguments, "--verify")["dropped"] == 3
    assert run(capsys, *arguments, "--prune")["pruned"] == 0
    assert "would outgrow its limit" in refused(
        capsys, "--store", tmp_path / "other", *arguments[2:], "--max-gb", "1e-9"
    )


def test_refused(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    data: Path,  # noqa: F811
    patch: Path,
) -> None:
    store = ["--store", tmp_path / "store"]
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"frames": 3, "encoder": {"type": "log_mel"}}))
    for arguments, message in (
        ([*store, "--data", data], "nothing says which encoders to run; give patch, training or preprocessing"),
        ([*store, "--patch", patch], "data is empty; name at least one data set"),
        ([*store, "--patch", patch, "--data", data, "--channel", "audio"], "channel belongs to preprocessing"),
        ([*store, "--preprocessing", settings, "--data", data], "tells an encoder but not its channel"),
        ([*store, "--preprocessing", tmp_path / "no.json", "--channel", "audio"], "no.json: no such file"),
        (
            [*store, "--preprocessing", settings, "--channel", "audio", "--patch", patch, "--data", data],
            "two patches read channel 'audio' through different encoders",
        ),
        (
            [*store, "--preprocessing", settings, "--channel", "noise", "--patch", patch, "--data", data],
            "the patches differ in base",
        ),
        ([*store, "--patch", patch, "--data", tmp_path / "none"], "none: no such file"),
        ([*store, "--patch", patch, "--data", data, "--workers", "0"], "workers is 0"),
        (["--store", data, "--patch", patch, "--data", data], "holds no store.json but other things"),
    ):
        assert message in refused(capsys, *arguments)
    assert not (tmp_path / "store").exists()
