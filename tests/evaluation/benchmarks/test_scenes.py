"""ScanQA and SQA3D: several answers, withheld ones, two files joined by id, scenes as films or recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pave.errors import InputError
from pave.evaluation.conventions.scanqa import question_class
from pave.evaluation.conventions.sqa3d import TYPES, mcan_type
from pave.media.probe import probe
from tests.evaluation.benchmarks.raw_files import prepared, scanqa, sqa3d, write_json


def test_scanqa(tmp_path: Path) -> None:
    raw = scanqa(tmp_path / "raw")
    _, (first, second) = prepared("scanqa", raw, tmp_path / "out")
    assert first["references"] == ["brown chair", "chair"] and first["messages"][-1]["content"] == "brown chair"
    assert first["messages"][0]["content"] == "What is next to the sink?" and first["category"] == "Object"
    assert first["video"] == str(raw / "posed_images_new/scene0012_00")
    assert first["missing"] == ["scans/scene0012_00"] and first["side"] == {"depth": None}
    assert second["side"] == {"depth": str(raw / "scans/scene0011_00")}


@pytest.mark.parametrize(
    ("prompt", "ending"), [("video3d", "sink? Answer the question simply."), ("short", "a single word or phrase.")]
)
def test_scanqa_prompts(prompt: str, ending: str, tmp_path: Path) -> None:
    _, lines = prepared("scanqa", scanqa(tmp_path / "raw"), tmp_path / "out", prompt=prompt)
    assert lines[0]["messages"][0]["content"].endswith(ending)
    assert lines[0]["question"] == "What is next to the sink?"


def test_withheld_answers(tmp_path: Path) -> None:
    manifest, (line,) = prepared("scanqa", scanqa(tmp_path / "raw"), tmp_path / "out", split="test-wo-obj")
    assert line["references"] == [] and [turn["role"] for turn in line["messages"]] == ["user"]
    assert manifest.notes["answers withheld"] == 1


def test_a_film_of_a_scene(tmp_path: Path) -> None:
    raw = scanqa(tmp_path / "raw")
    manifest, (_, line) = prepared("scanqa", raw, tmp_path / "without")
    assert line["video"] is None and line["missing"] == ["scene0011_00.mp4"]
    assert manifest.notes["its video can be made of what is there: use --films"] == 1
    _, (_, line) = prepared("scanqa", raw, tmp_path / "out", films=True)
    assert line["video"] == "films/scene0011_00.mp4" and line["missing"] == []
    # Pictures 0, 20 and 40 of a recording of 30 a second.
    info = probe(tmp_path / "out" / line["video"])
    assert info.duration_sec == pytest.approx(40 / 30, abs=0.8) and (info.width, info.height) == (32, 24)


def test_sqa3d(tmp_path: Path) -> None:
    _, (first, second) = prepared("sqa3d", sqa3d(tmp_path / "raw"), tmp_path / "out")
    assert first["messages"][0]["content"] == "I am facing a desk. What is on my left?"
    assert (first["references"], second["references"]) == (["TV"], ["yes"])
    assert (first["category"], second["category"]) == ("what", "other")
    assert first["id"] == "220602000001" and first["situation"] == "I am facing a desk."


def test_sqa3d_files_of_two_releases(tmp_path: Path) -> None:
    raw = sqa3d(tmp_path / "raw")
    path = raw / "sqa_task/balanced/v1_balanced_sqa_annotations_test_scannetv2.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**content, "annotations": content["annotations"][1:]})
    with pytest.raises(InputError, match=r"question_id 220602000002 is not in .*; get both files of one release"):
        prepared("sqa3d", raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Where is the bed?", "Place"),
        ("How many chairs are there?", "Number"),
        ("What color is the desk?", "Color"),
        ("What is the color of the lamp?", "Color"),
        ("What kind of chair is in the corner?", "Object nature"),
        ("What is next to the sink?", "Object"),
        ("How many what color?", "Number"),
        ("what is it?", "Other"),
    ],
)
def test_classes_of_scanqa(question: str, kind: str) -> None:
    assert question_class(question) == kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What's on my left?", "what"),
        ("Is, the door open?", "is"),
        ("which way?", "which"),
        ("Whichever", "other"),
        ("Are there books?", "other"),
    ],
)
def test_types_of_sqa3d(question: str, kind: str) -> None:
    assert TYPES[mcan_type(question)] == kind
