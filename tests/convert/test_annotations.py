"""The reference's annotations and mappings become samples that this library reads; what does not is counted."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pave.convert.annotations import convert_annotations, report_path, video_ids
from pave.data.jsonl import read_samples
from pave.errors import InputError


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(texts)]


def entry(name: Any, video: str, *texts: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "video": video, "conversations": turns(*texts or ("<image>\nWhat?", "a mug")), **fields}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Path]:
    """Two whole videos A and B; C without a feature mapping, D without its film, E without its features."""
    for film in ("A", "B", "C", "E"):
        write(tmp_path / "films" / f"{film}.mp4", "film")
    for features in ("A", "B", "D"):
        write(tmp_path / "features" / f"{features}.pt", "tensor")
    return {
        "media_mapping": write(tmp_path / "films" / "map.json", {name: f"{name}.mp4" for name in "ABCDE"}),
        "feature_mapping": write(tmp_path / "features" / "map.json", {name: f"{name}.pt" for name in "ABDE"}),
    }


def convert(folder: Path, world: dict[str, Path], entries: Any, **options: Any) -> Any:
    annotations = write(folder / "annotations.json", entries)
    return convert_annotations(annotations=annotations, out=folder / "out.jsonl", **{**world, **options})


def test_entries_become_samples(tmp_path: Path, world: dict[str, Path]) -> None:
    fields = {"type": "[Audio]", "data_source": {"part": 1}}
    entries = [
        entry("q-17", "clips/A.mp4", "<image>\nWhat is he holding?", "a mug", **fields),
        entry(18, "B", " <video>Where\nis it? ", " left ", "And <b>now</b>? ", "right"),
    ]
    report = convert(tmp_path, world, entries)
    first, second = read_samples(report.samples)
    assert (report.read, report.written, report.dropped, report.changed) == (2, 2, {}, {})
    assert first.id == "q-17" and dict(first.extra) == fields
    assert first.video == tmp_path / "films" / "A.mp4" and first.side == {"audio": tmp_path / "features" / "A.pt"}
    assert [turn["content"] for turn in first.messages] == ["What is he holding?", "a mug"]
    assert second.id == "18"
    assert [turn["content"] for turn in second.messages] == ["Where\nis it?", " left ", "And <b>now</b>? ", "right"]
    assert [turn["role"] for turn in second.messages] == ["user", "assistant"] * 2
    assert json.loads(report.report.read_text()) == {"dropped": [], "changed": []}


def test_paths_in_the_samples_folder_move_with_it(tmp_path: Path, world: dict[str, Path]) -> None:
    report = convert(tmp_path, world, [entry("a", "A")])
    assert json.loads(report.samples.read_text())["video"] == "films/A.mp4"
    away = convert_annotations(tmp_path / "annotations.json", out=tmp_path / "else" / "b.jsonl", **world)
    assert json.loads(away.samples.read_text())["video"] == str(tmp_path / "films" / "A.mp4")
    assert read_samples(away.samples)[0].video == tmp_path / "films" / "A.mp4"


def test_what_is_dropped_is_counted_and_listed(tmp_path: Path, world: dict[str, Path], caplog) -> None:
    entries = [
        entry("good", "A"),
        entry("unmapped", "Z"),
        entry("no-features", "C"),
        entry("no-film", "D"),
        entry("no-feature-file", "E"),
        entry("listed", "00013654.mp4"),
        entry("odd", "A", "<image>\nWhat?"),
        entry("empty", "A", "<image>\n", "a mug"),
        entry("late", "A", "<image>\nWhat?", "a mug", "<image> and?", "yes"),
        {"id": "swapped", "video": "A", "conversations": turns("x", "y")[::-1]},
        {"id": "none", "video": "A"},
        entry("side", "A", side={}),
        {"id": "no-video", "conversations": turns("x", "y")},
        "text",
    ]
    report = convert(tmp_path, world, entries)
    assert [sample.id for sample in read_samples(report.samples)] == ["good"]
    assert report.dropped == {
        "no video mapping": 1,
        "no feature mapping": 1,
        "video file missing": 1,
        "feature file missing": 1,
        "on the reference's list": 1,
        "malformed conversation": 5,
        "malformed entry": 3,
    }
    listed = json.loads(report.report.read_text())["dropped"]
    assert [item["entry"] for item in listed] == list(range(2, 15))
    assert listed[0] == {
        "entry": 2,
        "id": "unmapped",
        "reason": "no video mapping",
        "detail": "the mapping has no 'Z'",
    }
    assert "5 of 14 entries dropped: malformed conversation" in caplog.text


def test_what_is_changed_is_counted_and_listed(tmp_path: Path, world: dict[str, Path]) -> None:
    entries = [entry("a", "A"), entry("a", "A"), entry("a-2", "B", "What?", "this"), entry(None, "B")]
    report = convert(tmp_path, world, entries)
    assert [sample.id for sample in read_samples(report.samples)] == ["a", "a-2", "a-2-2", "4"]
    assert report.changed == {
        "id repeated": 2,
        "no tag: the video stands before the first question": 1,
        "id given": 1,
    }
    assert {"entry": 2, "id": "a-2", "change": "id repeated"} in json.loads(report.report.read_text())["changed"]


def test_video_ids_are_the_references_and_where_it_cuts_too_much_the_whole() -> None:
    assert video_ids("academic_source/activitynet/v_x.mp4") == ["v_x"]
    assert video_ids("scene0001_00") == ["scene0001_00"]
    assert video_ids("MyScene_000001_extra.mp4") == ["MyScene_00000", "MyScene_000001_extra"]
    assert video_ids("a.b.c.mp4") == ["a"]


def test_a_film_that_the_reference_cannot_find_is_found(tmp_path: Path, world: dict[str, Path]) -> None:
    name = "xSceneY1234_000030"
    write(tmp_path / "films" / f"{name}.mp4", "film")
    mapping = write(tmp_path / "films" / "map2.json", {name: f"{name}.mp4"})
    report = convert(tmp_path, {"media_mapping": mapping}, [entry("a", name)])
    assert read_samples(report.samples)[0].side == {}
    assert report.changed == {"found by the whole id, which the reference cuts": 1}


def test_a_second_channel_has_the_first_ones_names_in_its_own_folder(tmp_path: Path, world: dict[str, Path]) -> None:
    write(tmp_path / "sound" / "A.pt", "tensor")
    options = {"channel": "frames", "second_channel": "audio", "second_root": tmp_path / "sound"}
    report = convert(tmp_path, world, [entry("a", "A"), entry("b", "B")], **options)
    (sample,) = read_samples(report.samples)
    assert sample.side == {"frames": tmp_path / "features" / "A.pt", "audio": tmp_path / "sound" / "A.pt"}
    assert report.dropped == {"second feature file missing": 1}


def test_cameras_are_the_folder_of_the_first_ones_file(tmp_path: Path, world: dict[str, Path]) -> None:
    mapping = write(tmp_path / "features" / "takes.json", {"A": "takes/one/ego.pt"})
    write(tmp_path / "features" / "takes" / "one" / "ego.pt", "tensor")
    write(tmp_path / "cameras" / "takes" / "one" / "exo1.pt", "tensor")
    options = {"second_channel": "views", "second_root": tmp_path / "cameras", "second_folder": True}
    report = convert(tmp_path, {**world, "feature_mapping": mapping}, [entry("a", "A")], **options)
    assert read_samples(report.samples)[0].side["views"] == tmp_path / "cameras" / "takes" / "one"


def test_a_share_is_taken_from_the_front(tmp_path: Path, world: dict[str, Path]) -> None:
    report = convert(tmp_path, world, [entry(str(number), "A") for number in range(7)], ratio=0.5)
    assert [sample.id for sample in read_samples(report.samples)] == ["0", "1", "2"] and report.read == 3


def test_json_lines_are_read_too(tmp_path: Path, world: dict[str, Path]) -> None:
    text = "\n".join(json.dumps(entry(name, "A", "Q\u2028?", "a"), ensure_ascii=False) for name in "xy")
    annotations = write(tmp_path / "some.jsonl", text + "\n\n")
    report = convert_annotations(annotations, out=tmp_path / "out.jsonl", **world)
    assert [sample.messages[0]["content"] for sample in read_samples(report.samples)] == ["Q\u2028?"] * 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"out": "out.json"}, "samples are written as .jsonl"),
        ({"out": "taken.jsonl"}, r"taken\.jsonl: exists"),
        ({"ratio": 0.0}, "ratio is 0.0"),
        ({"second_channel": "x"}, "second_channel and second_root go together"),
        ({"second_channel": "audio", "second_root": "."}, "name them apart"),
        ({"second_channel": "x", "second_root": ".", "feature_mapping": None}, "takes its names from feature_mapping"),
        ({"channel": "video"}, "cannot be named 'video'"),
        ({"media_mapping": "none.json"}, r"none\.json: no such file"),
        ({"media_mapping": "list.json"}, "holds a JSON list, not an object"),
        ({"media_mapping": "numbers.json"}, "'A' is mapped to 3"),
        ({"annotations": "none.json"}, r"none\.json: no such file"),
        ({"annotations": "numbers.json"}, "annotations are a list"),
        ({"annotations": "broken.json"}, "not valid JSON"),
        ({"annotations": "broken.jsonl"}, r"broken\.jsonl:2: not valid JSON"),
        (
            {"annotations": "unmapped.json"},
            r"none of 2 entries can be used \(2 no video mapping\); the first: the map",
        ),
    ],
)
def test_bad_input_is_told_in_one_line_and_writes_nothing(
    tmp_path: Path, world: dict[str, Path], options: dict[str, Any], says: str
) -> None:
    write(tmp_path / "taken.jsonl", "")
    write(tmp_path / "list.json", [])
    write(tmp_path / "numbers.json", {"A": 3})
    write(tmp_path / "broken.json", "[{")
    write(tmp_path / "broken.jsonl", '{"id": 1}\n{')
    write(tmp_path / "unmapped.json", [entry("a", "Z"), entry("b", "Y")])
    good = write(tmp_path / "good.json", [entry("a", "A")])
    settings: dict[str, Any] = {"annotations": good, "out": tmp_path / "out.jsonl", **world}
    for name, value in options.items():
        settings[name] = tmp_path / value if isinstance(value, str) and "." in value else value
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=says) as error:
        convert_annotations(**settings)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before and not report_path(tmp_path / "out.jsonl").exists()


def test_half_a_character_is_left_out_and_told(tmp_path: Path, world: dict[str, Path]) -> None:
    entries = [entry("whole \U0001f600", "A"), entry("half \ud83d", "A"), entry("b", "B", "<image>\nWhat?", "\ude00")]
    report = convert(tmp_path, world, entries)
    assert [sample.id for sample in read_samples(report.samples)] == ["whole \U0001f600"]
    assert report.dropped == {"malformed text": 2}
    assert [item["id"] for item in json.loads(report.report.read_text())["dropped"]] == ["half \ud83d", "b"]


def test_an_empty_id_is_given_one(tmp_path: Path, world: dict[str, Path]) -> None:
    report = convert(tmp_path, world, [entry("", "A")])
    assert [sample.id for sample in read_samples(report.samples)] == ["1"]
    assert report.changed == {"id given": 1}


def test_a_ratio_of_less_than_one_entry_is_named(tmp_path: Path, world: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"ratio is 0.1, which is less than one of the 2 entries; raise it"):
        convert(tmp_path, world, [entry("a", "A"), entry("b", "B")], ratio=0.1)


def test_nothing_is_left_where_the_samples_cannot_be_written(
    tmp_path: Path, world: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    move = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target).name == "out.jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"out.jsonl: cannot be written: the disk is full; free some space"):
        convert(tmp_path, world, [entry("a", "A")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.json", "features", "films"]
