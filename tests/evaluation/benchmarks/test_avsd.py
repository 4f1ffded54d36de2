"""AVSD: withheld answers and their references, the dialogue before them, training in groups of five."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pave.errors import InputError
from pave.evaluation.benchmarks.avsd import LENGTHS_DSTC7, LENGTHS_DSTC8
from tests.evaluation.benchmarks.raw_files import SIX, avsd, coco, dialogue, dialogues, prepared, question, write_json


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return avsd(tmp_path / "raw")


def roles(line: dict[str, Any]) -> list[str]:
    return [turn["role"] for turn in line["messages"]]


def write_full(folder: Path, lengths: dict[int, int]) -> Path:
    """Write a test set of the official size whose dialogues have these lengths."""
    told = question("what is there ?", "a box .")
    withheld = {**told, "answer": "__UNDISCLOSED__"}
    turns = [length for length, count in lengths.items() for _ in range(count)]
    items = [dialogue(f"V{number:04}", [told] * (length - 1) + [withheld]) for number, length in enumerate(turns)]
    write_json(folder / "test_set4DSTC7-AVSD.json", dialogues(*items))
    names = [f"V{number:04}_{length - 1}" for number, length in enumerate(turns)]
    write_json(folder / "test_set4DSTC7-AVSD_multiref.json", coco(names))
    return folder


def test_official_test_set(raw: Path, tmp_path: Path) -> None:
    _, (first, second) = prepared("avsd", raw, tmp_path / "out")
    assert first["references"] == list(SIX) and first["category"] == "turn 2" and first["turns"] == 2
    assert (first["id"], first["image_id"], first["question"]) == ("AB1C2_1", "AB1C2", "what is in the box ?")
    assert roles(first) == ["user", "assistant"] * 2
    assert first["messages"][1]["content"] == "there is one ."
    assert first["messages"][-1]["content"] == SIX[0]
    assert first["side"]["audio"] == first["video"] == str(raw / "Charades_vu17_test_480/AB1C2.mp4")
    assert second["video"] is None and second["missing"] == ["Charades_v1_480/DE3F4.mp4"]


def test_neither_caption_nor_summary_is_used(raw: Path, tmp_path: Path) -> None:
    for split in ("dstc7", "train"):
        _, lines = prepared("avsd", raw, tmp_path / split, split=split)
        assert "a person opens a box" not in json.dumps(lines) and "a box is opened" not in json.dumps(lines)


def test_one_reference(raw: Path, tmp_path: Path) -> None:
    _, (first, _) = prepared("avsd", raw, tmp_path / "out", split="dstc7-single")
    assert first["references"] == ["a toy ."]


def test_dstc10_has_six_and_their_reasons(raw: Path, tmp_path: Path) -> None:
    _, (line,) = prepared("avsd", raw, tmp_path / "out", split="dstc10")
    assert line["references"] == list(SIX)
    assert line["reason"] == [{"timestamp": [0.5, 1.5], "sentence": "a box is on the table ."}]


def test_training_in_groups_of_five(raw: Path, tmp_path: Path) -> None:
    _, lines = prepared("avsd", raw, tmp_path / "out", split="train")
    assert [line["id"] for line in lines] == ["AB1C2_0", "AB1C2_1"]
    assert all(roles(line) == ["user", "assistant"] * 5 for line in lines)
    assert lines[1]["messages"][0]["content"] == "what happens in part 5 ?"


@pytest.mark.parametrize(("lengths", "fits"), [(LENGTHS_DSTC7, True), (LENGTHS_DSTC8, False)])
def test_editions_are_told_apart_by_their_dialogues(lengths: dict[int, int], fits: bool, tmp_path: Path) -> None:
    raw = write_full(tmp_path / "raw", lengths)
    if fits:
        manifest, lines = prepared("avsd", raw, tmp_path / "out", any_count=False)
        assert len(lines) == 1710 and manifest.categories["turn 10"].official == 95
        return
    with pytest.raises(InputError, match="95 samples of 'turn 1' in split dstc7; the official files have 380"):
        prepared("avsd", raw, tmp_path / "out", any_count=False)
    assert not (tmp_path / "out").exists()


def test_another_edition_is_named(raw: Path, tmp_path: Path) -> None:
    path = raw / "test_set4DSTC7-AVSD.json"
    write_json(path, dialogues(*[dialogue("AB1C2", [question("what ?", "a .")])] * 1804))
    with pytest.raises(InputError, match=r"1,804 dialogues \(1,804 is the number of the DSTC10 test set\).*has 1,710"):
        prepared("avsd", raw, tmp_path / "out", any_count=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content["annotations"].pop(),
            "image 'DE3F4_0': has 5 references; the published files have 6",
        ),
        (lambda content: content["images"].pop(), "image_id 2 is of no image"),
        (lambda content: content["images"][1].update(name="DE3F4_1"), "has no 'DE3F4_0'; get both of one edition"),
    ],
)
def test_references_that_do_not_fit(change: Any, message: str, raw: Path, tmp_path: Path) -> None:
    content = coco(["AB1C2_1", "DE3F4_0"])
    change(content)
    write_json(raw / "data/test_set4DSTC7-AVSD_multiref.json", content)
    with pytest.raises(InputError, match=message):
        prepared("avsd", raw, tmp_path / "out")


def test_a_withheld_answer_is_no_reference(raw: Path, tmp_path: Path) -> None:
    withheld = dialogues(dialogue("AB1C2", [question("what ?", "__UNDISCLOSED__")]))
    write_json(raw / "data/mock_test_set4DSTC10-AVSD_from_DSTC7_singref.json", withheld)
    with pytest.raises(InputError, match="the answer is withheld; use a file that has it"):
        prepared("avsd", raw, tmp_path / "out", split="dstc7-single")
