"""A probe end to end: every variant, the verdict, the card; and that it goes on where it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pave.errors import InputError
from pave.evaluation import collect, probe
from pave.evaluation.compare import Difference
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.probe import SAME_ANSWER, SHUFFLED, _warning, run_probe
from pave.model import PaveModel
from tests.tiny import LORA, PATCH, PREPROCESSING, base_folder, patched, write_data

SETTINGS = EvalSettings(batch_size=4, max_new_tokens=3, cache_video_tokens=True)
VARIANTS = [
    "real",
    "zeroed",
    "shuffled",
    "other clip, same answer",
    "shifted by -5 s",
    "shifted by -2 s",
    "shifted by -1 s",
    "shifted by +1 s",
    "shifted by +2 s",
    "shifted by +5 s",
    "noise",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "set", count=8, videos=3)


def test_a_patch_that_adds_nothing_is_flagged_in_its_card(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PaveModel.from_base(base_folder("llava_onevision"))
    model.add_patch("audio", PATCH, LORA, PREPROCESSING)
    model.save_patch("audio", tmp_path / "audio")
    config = EvalConfig((data,), patches=(str(tmp_path / "audio"),), out=tmp_path / "out", settings=SETTINGS)
    found = run_probe(config)
    assert found is not None and [row.name for row in found.rows] == VARIANTS
    assert all(row.drop == 0 for row in found.rows[1:]) and found.rows[0].drop is None
    assert len(found.warnings) == 2 and "no better than that of another clip (" in found.warnings[0]
    card = (tmp_path / "audio" / "README.md").read_text()
    assert card.count("## Does it use its channel?") == 1 and "> **Warning.** The real channel is no better" in card
    written = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert [row["name"] for row in written["rows"]] == VARIANTS and written["warnings"] == found.warnings
    assert (tmp_path / "out" / "probe.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out" / "2-zeroed" / "run.json").read_text())["variant"]["name"] == "zeroed"
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    monkeypatch.setattr(collect, "replies", None)
    run_probe(config)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*") if path.is_file()} == before
    assert (tmp_path / "audio" / "README.md").read_text() == card


def test_what_lies_in_a_folder_stays(data: Path, tmp_path: Path) -> None:
    patched("llava_onevision").save_patch("audio", tmp_path / "audio")
    notes = tmp_path / "out" / "11-noise" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.touch()
    config = EvalConfig((data,), patches=(str(tmp_path / "audio"),), out=tmp_path / "out", settings=SETTINGS)
    with pytest.raises(InputError, match="11-noise: exists and is not empty, but holds no run.json"):
        run_probe(config)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["11-noise", "notes.txt"]


def test_a_card_is_written_into_the_users_own_patch_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hear").mkdir()
    probe._write_card("hear", "found")
    assert list((tmp_path / "hear").iterdir()) == []
    # What cannot be written, as on a file system that may only be read, does not cost the result.
    (tmp_path / "own" / "README.md").mkdir(parents=True)
    probe._write_card("own", "found")
    assert "not in the card" in caplog.text and "README.md: cannot be written" in caplog.text


def test_altered_channels_reach_the_model(data: Path, tmp_path: Path) -> None:
    # New patches draw their weights from the global generator, and not all weights hear the difference.
    torch.manual_seed(0)
    model = patched("llava_onevision")
    model.save_patch("audio", tmp_path / "audio")
    found = run_probe(EvalConfig((data,), patches=(str(tmp_path / "audio"),), limit=4, settings=SETTINGS))
    assert found is not None
    answers = {name: [said.prediction for said in result.responses] for name, result in found.results.items()}
    assert sum(answers["real"] != said for said in answers.values()) >= 2
    assert torch.all(torch.tensor([row.n for row in found.rows if row.name != SAME_ANSWER]) == 4)


def test_what_cannot_be_done_is_said(data: Path, tmp_path: Path) -> None:
    patched("llava_onevision").save_patch("audio", tmp_path / "audio")
    lines = (data / "samples.jsonl").read_text().splitlines()
    (data / "samples.jsonl").write_text(lines[0] + "\n" + lines[3] + "\n")
    found = run_probe(EvalConfig((data,), patches=(str(tmp_path / "audio"),), settings=SETTINGS))
    assert found is not None
    assert dict(found.left_out) == dict.fromkeys(("shuffled", SAME_ANSWER), "there is no such clip")
    with pytest.raises(InputError, match="no patch reads a side channel"):
        run_probe(EvalConfig((data,), base=str(base_folder("llava_onevision")), frames=4, settings=SETTINGS))


def test_only_a_drop_beyond_doubt_passes() -> None:
    doubtful = Difference("real", SHUFFLED, "accuracy", 0.1, (-0.02, 0.2))
    assert "not shown to be used" in _warning(doubtful)[0]
    assert "nothing that happens in it" in _warning(replace(doubtful, than=SAME_ANSWER))[0]
    assert _warning(replace(doubtful, interval=(0.02, 0.2))) == []
    assert _warning(replace(doubtful, than="noise")) == []
