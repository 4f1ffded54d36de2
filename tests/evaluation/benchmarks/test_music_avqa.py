"""MUSIC-AVQA: slots, lists inside texts, `anser`, other shapes of v2.0, duplication in training."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.errors import InputError
from pave.evaluation.benchmarks.music_avqa import fill
from tests.evaluation.benchmarks.raw_files import music, music_avqa, prepared, write_json


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return music_avqa(tmp_path / "raw")


@pytest.mark.parametrize(
    ("template", "values", "filled"),
    [
        ("How many sounding <Object> in the video？", ["clarinet"], "How many sounding clarinet in the video？"),
        ("Are there <Object> and <Object> sound? ", ["flute", "<LR>"], "Are there flute and <LR> sound?"),
        ("Where is the <LR>?", ["leftest"], "Where is the leftest?"),
        ("Where is the performance?", [], "Where is the performance?"),
    ],
)
def test_slots(template: str, values: list[str], filled: str) -> None:
    assert fill(template, values, "here") == filled


def test_slots_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="here: 1 templ_values for 2 slots"):
        fill("Is the <Object> louder than the <Object>?", ["flute"], "here")


def test_questions(raw: Path, tmp_path: Path) -> None:
    _, (counting, comparing, looking) = prepared("music-avqa", raw, tmp_path / "out")
    assert counting["question"] == counting["messages"][0]["content"] == "How many sounding clarinet in the video？"
    assert (counting["references"], counting["category"]) == (["two"], "Audio-Visual Counting")
    assert (counting["modality"], counting["kind"], counting["id"]) == ("Audio-Visual", "Counting", "7")
    assert counting["video"] == str(raw / "MUSIC-AVQA-videos-Real/00001234.mp4")
    assert comparing["question"] == "Is the a louder than the b?"
    assert looking["missing"] == ["MUCIS-AVQA-videos-Synthetic/va00000001.mp4"]


def test_questions_that_stand_twice_get_ids_of_their_own(raw: Path, tmp_path: Path) -> None:
    manifest, lines = prepared("music-avqa", raw, tmp_path / "out", split="test-original")
    assert [line["id"] for line in lines] == ["7", "8", "9", "7-2"]
    assert lines[3]["references"] == ["one"] and lines[3]["question_id"] == 7
    assert manifest.notes == {"id repeated in the raw files, a number added": 1}


def test_shapes_of_the_second_version(raw: Path, tmp_path: Path) -> None:
    manifest, (first, swapped, flipped) = prepared("music-avqa", raw, tmp_path / "out", split="test-v2-balanced")
    assert first["id"] == "7" and flipped["id"] == "AbCdEfGhIjK_#02_flip-row3"
    assert swapped["video"] == str(raw / "MUCIS-AVQA-videos-Synthetic/sa00000001.mp4")
    assert swapped["side"]["audio"] == str(raw / "MUSIC-AVQA-videos-Real/00001234.mp4")
    assert manifest.notes == {"sound of another video": 1}


def test_duplication(raw: Path, tmp_path: Path) -> None:
    _, lines = prepared("music-avqa", raw, tmp_path / "out", split="train", duplicate_audio=True)
    assert [line["id"] for line in lines] == ["7", "7-2", "8", "8-2", "9"]
    with pytest.raises(InputError, match="duplicate_audio is for training; split test is scored"):
        prepared("music-avqa", raw, tmp_path / "test", duplicate_audio=True)


def test_the_original_in_the_place_of_the_update_is_named(raw: Path, tmp_path: Path) -> None:
    entry = music("00001234", ("Visual", "Location"), "Where is it?", [], "left", 1)
    write_json(raw / "data/json_update/avqa-test.json", [entry] * 9185)
    message = r"9,185 questions \(9,185 is the number of the original test file, under json/\).*has 9,129"
    with pytest.raises(InputError, match=message):
        prepared("music-avqa", raw, tmp_path / "out", any_count=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": '["Audio", "Location"]'}, r"type is \['Audio', 'Location'\]; known: Audio Counting"),
        ({"type": "Audio"}, "type is 'Audio'; it must hold a JSON list"),
        ({"templ_values": 3}, "templ_values is 3; it must be a list"),
        ({"anser": ""}, "anser is ''; it must be a text"),
    ],
)
def test_damaged_entries(change: dict[str, object], message: str, raw: Path, tmp_path: Path) -> None:
    entry = music("00001234", ("Visual", "Location"), "Where is it?", [], "left", 1)
    write_json(raw / "data/json_update/avqa-test.json", [{**entry, **change}])
    with pytest.raises(InputError, match=f"entry 1: {message}"):
        prepared("music-avqa", raw, tmp_path / "out")
