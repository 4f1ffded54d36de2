"""Sets on disk: the same from the same seed, complete or absent, and refused over other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pave.blindspot import generate
from pave.blindspot.film import FilmFormat
from pave.blindspot.generate import MakeConfig, make, recipe
from pave.blindspot.scene import Scene
from pave.errors import InputError

SMALL = FilmFormat(width=32, height=32, frames_per_sec=4)


def _config(out: Path, **more: Any) -> MakeConfig:
    return MakeConfig(**{"track": "hear", "count": 10, "seed": 7, "workers": 1, "film": SMALL, "out": out, **more})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_set_has_its_questions_its_films_and_their_scenes(tmp_path: Path) -> None:
    report = make(_config(tmp_path / "set"))
    samples, scenes = _lines(tmp_path / "set" / "samples.jsonl"), _lines(tmp_path / "set" / "scenes.jsonl")
    assert report.questions == len(samples) == 10
    assert report.clips == len(scenes) == 3
    assert sum(report.forms.values()) == 10
    assert report.samples == tmp_path / "set" / "samples.jsonl"
    assert report.blind == pytest.approx(sum(sample["blind"] for sample in samples) / 10)
    for scene in scenes:
        assert (tmp_path / "set" / scene["clip"]).stat().st_size > 1000
        assert Scene.from_dict(scene["scene"]).layout == "turns"
    for sample in samples:
        assert sample["side"] == {"audio": sample["video"]}
        assert sample["video"] in {scene["clip"] for scene in scenes}
        assert [message["role"] for message in sample["messages"]] == ["user", "assistant"]
        assert sample["messages"][1]["content"] == sample["answer"]
        assert (sample["track"], sample["seed"]) == ("hear", 7)
    assert len({sample["id"] for sample in samples}) == 10


@pytest.mark.parametrize(
    ("track", "channels", "side"),
    [
        ("hear", (), {"audio": "clips/000000.mp4"}),
        ("depth", (), {"audio": "clips/000000.mp4", "depth": "depth/000000"}),
        ("views", (), {"audio": "clips/000000.mp4", "views": "views/000000"}),
        ("views", ("frames",), {"audio": "clips/000000.mp4", "views": "views/000000", "frames": "clips/000000.mp4"}),
    ],
)
def test_samples_name_the_media_that_their_track_asks_about_and_those_asked_for(
    tmp_path: Path, track: str, channels: tuple[str, ...], side: dict[str, str]
) -> None:
    folder = make(_config(tmp_path / "set", track=track, count=2, channels=channels)).samples.parent
    assert _lines(folder / "samples.jsonl")[0]["side"] == side
    assert all((folder / path).exists() for path in side.values())
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {path.split("/")[0] for path in side.values()}


def test_what_can_be_seen_may_come_with_any_side_media_that_its_scene_has(tmp_path: Path) -> None:
    folder = make(_config(tmp_path / "set", track="see", count=100, channels=("depth", "views"))).samples.parent
    scenes = {entry["clip"]: entry["scene"] for entry in _lines(folder / "scenes.jsonl")}
    samples = _lines(folder / "samples.jsonl")
    assert [sample["messages"] for sample in samples] == [
        sample["messages"] for sample in _lines(make(_config(tmp_path / "bare", track="see", count=100)).samples)
    ]
    alone = 0
    for sample in samples:
        assert (folder / sample["side"]["depth"] / "cameras.json").is_file()
        if len(scenes[sample["video"]]["cameras"]) == 1:
            assert sample["side"]["views"] is None
            alone += 1
        else:
            assert (folder / sample["side"]["views"] / "views.json").is_file()
    assert 0 < alone < len(samples)


def test_how_a_set_was_made_names_channels_only_where_they_add_something(tmp_path: Path) -> None:
    assert "channels" not in recipe(_config(tmp_path / "set"))
    config = _config(tmp_path / "set", count=1, channels=("depth",))
    make(config)
    assert json.loads((tmp_path / "set" / "set.json").read_text(encoding="utf-8")) == recipe(config)
    assert recipe(config)["channels"] == ["depth"]


@pytest.mark.dist
def test_the_number_of_workers_changes_no_byte_of_the_json(tmp_path: Path) -> None:
    for workers in (1, 3):
        make(_config(tmp_path / str(workers), workers=workers, track="see"))
    for name in ("samples.jsonl", "scenes.jsonl"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_another_seed_or_track_makes_another_set(tmp_path: Path) -> None:
    made = [
        make(_config(tmp_path / str(k), **more)).samples.read_text(encoding="utf-8")
        for k, more in enumerate(({}, {"seed": 8}, {"track": "see"}))
    ]
    answers = [[json.loads(line)["answer"] for line in text.splitlines()] for text in made]
    assert answers[0] != answers[1]
    assert answers[0] != answers[2]


def test_a_longer_set_begins_with_the_shorter(tmp_path: Path) -> None:
    short, long = (_lines(make(_config(tmp_path / str(count), count=count)).samples) for count in (4, 9))
    assert long[:4] == short


def test_progress_counts_clips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make(_config(tmp_path / "set"), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        make(_config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert make(_config(tmp_path / "set", count=1)).questions == 1


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail_at_the_second(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("disk full")

    monkeypatch.setattr(generate, "write_film", fail_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        make(_config(tmp_path / "set"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"track": "haer"}, "did you mean 'hear'"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
        ({"channels": ("dept",)}, "did you mean 'depth'"),
        ({"track": "blink"}, "frames_per_sec is 4; .* multiple of that"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _config(tmp_path / "set", **more)
