"""Ego-Exo4D: a list or an object, other cameras as views, those that lack, classes in order of skill; BlindSpot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pave.encoders.views_file import read_views
from pave.errors import InputError
from tests.evaluation.benchmarks.raw_files import blindspot, ego_exo4d, prepared, write_json


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return ego_exo4d(tmp_path / "raw")


@pytest.mark.parametrize("split", ["train", "val"])
def test_takes(split: str, raw: Path, tmp_path: Path) -> None:
    manifest, (first, second) = prepared("ego-exo4d", raw, tmp_path / "out", split=split)
    home = raw / "takes/site_bouldering_001_2/frame_aligned_videos/downscaled/448"
    assert first["video"] == str(home / "aria01_214-1.mp4")
    views = read_views(tmp_path / "out" / first["side"]["views"])
    assert [camera.path for camera in views.cameras] == [home / f"cam0{number}.mp4" for number in (1, 2, 3)]
    assert [path.rsplit("/", 1)[-1] for path in first["missing"]] == ["cam04.mp4"]
    assert (first["references"], first["label"], first["category"]) == (["Early Expert"], 1, "Rock Climbing")
    assert second["side"] == {"views": None} and len(second["missing"]) == 4
    assert manifest.notes == {"3 other cameras, not 4": 1} and manifest.channels == {"views": 1}


def test_prompts(raw: Path, tmp_path: Path) -> None:
    _, lines = prepared("ego-exo4d", raw, tmp_path / "out")
    text = lines[0]["messages"][0]["content"]
    assert text.endswith("exceptional skill, precision, and expertise. Example Output: Early Expert")
    assert "Rock Climbing" not in text and "\n" not in text and "  " not in text
    _, lines = prepared("ego-exo4d", raw, tmp_path / "short", prompt="short")
    assert "levels: 1. Novice 2. Early Expert. 3. Inter" in lines[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proficiency_score": "Expert"}, "proficiency_score is 'Expert'; known: Novice, Early Expert"),
        ({"video_paths": {"exo1": "a.mp4"}}, "video_paths: names exo1; it must name ego and exo cameras"),
        ({"video_paths": ["a.mp4"]}, "video_paths: holds a JSON list"),
    ],
)
def test_damaged_takes(change: dict[str, object], message: str, raw: Path, tmp_path: Path) -> None:
    path = raw / "annotations/proficiency_demonstrator_train.json"
    take = json.loads(path.read_text(encoding="utf-8"))[0]
    write_json(path, [{**take, **change}])
    with pytest.raises(InputError, match=message):
        prepared("ego-exo4d", raw, tmp_path / "out", split="train")


def test_sets_of_the_embedded_world(tmp_path: Path) -> None:
    raw = blindspot(tmp_path / "raw")
    _, (line,) = prepared("blindspot", raw, tmp_path / "out")
    film = str(raw / "clips/000000.mp4")
    assert line["side"] == {"audio": film, "depth": None, "views": None, "frames": None}
    assert (line["references"], line["form"], line["track"], line["blind"]) == (["red cube"], "source", "hear", 0.25)
    assert line["missing"] == []
