"""Check vectors: those in this repository, the full file where it is there, and what the command says and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pave.errors import InputError
from pave.evaluation.conventions.avsd_files import challenge_row
from pave.evaluation.conventions.replays import REPLAYS
from pave.evaluation.vectors import main, read_rows, replay

from .samples import needs_java

FIXTURE = Path(__file__).parent / "vectors.json"
FULL = Path(__file__).parents[4] / "shared" / "vectors.json"

FILE_ROW = {
    "benchmark": "AVSD",
    "convention": "dstc8.multiref",
    "prediction": {"file": "sample/answers.json"},
    "references": {"file": "data/test_set4DSTC8-AVSD_multiref.json"},
    "expected": {"bleu1": 1.0},
}


def write(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def row(expected: Any, convention: str = "official.extract", prediction: str = "Both") -> dict[str, Any]:
    return {"benchmark": "Video-MME", "convention": convention, "prediction": prediction, "expected": expected}


@needs_java
def test_vectors_of_this_repository_pass() -> None:
    outcomes = replay(read_rows(FIXTURE))
    assert [outcome for outcome in outcomes if outcome.status != "pass"] == []


@needs_java
@pytest.mark.skipif(not FULL.exists(), reason="the full file of check vectors is not beside this repository")
def test_all_vectors_pass_but_those_of_files_that_are_not_public() -> None:
    rows = read_rows(FULL)
    outcomes = replay(rows)
    assert [outcome for outcome in outcomes if outcome.status == "fail"] == []
    left_out = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome.status == "left out"]
    assert all("file" in row["prediction"] for row in left_out)
    assert {outcome.benchmark for outcome in outcomes} <= {benchmark for benchmark, _ in REPLAYS}


def test_a_failure_is_named_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path / "v.json", [row("A"), row("B")]))]) == 1
    out = capsys.readouterr().out
    assert "fail: Video-MME official.extract: expected 'A', found 'B'" in out
    assert out.splitlines()[-1] == "1 pass, 1 fail, 0 left out"


def test_a_convention_that_is_not_here_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path / "v.json", [row("B"), row("B", "official.extracts")]))]) == 0
    out = capsys.readouterr().out
    assert "left out: Video-MME official.extracts: no such convention here; did you mean 'official.extract'?" in out
    assert out.splitlines()[-1] == "1 pass, 0 fail, 1 left out"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "is no JSON"), ("[]", "at least one"), ('[{"benchmark": "x"}]', "row 0 has no")],
)
def test_a_file_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main([str(path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        ({"overall": 64.444444}, "pass"),
        ({"overall": 64.44444}, "pass"),
        ({"overall": 64.444447}, "fail"),
        ({"overall": 64.44}, "fail"),
        ({"overall": 64.4444, "object_counting_MRA:.5:.95:.05": 60.0}, "pass"),
        ({"overall": 64.444444, "object_counting_MRA:.5:.95:.05": 60.01}, "fail"),
        ({"overall": 64.444444, "no such key": 1.0}, "fail"),
    ],
)
def test_numbers_hold_to_the_digits_given(expected: dict[str, float], status: str) -> None:
    vectors = [row for row in read_rows(FIXTURE) if row["convention"] == "official.aggregate"]
    vector = next(row for row in vectors if row["benchmark"] == "VSI-Bench")
    assert replay([{**vector, "expected": expected}])[0].status == status


def test_rows_of_challenge_files_are_left_out_without_them() -> None:
    outcome = replay([FILE_ROW])[0]
    assert (outcome.status, outcome.reason) == ("left out", "names files of the challenge; give them with --files")


@needs_java
def test_rows_of_challenge_files_are_scored_from_them(tmp_path: Path) -> None:
    package = tmp_path / "dstc8avsd_eval"
    turns = [
        {"question": "is it red ?", "answer": "no"},
        {"question": "is it a dog ?", "answer": "yes , it is a dog ."},
    ]
    write(package / "sample" / "answers.json", {"dialogs": [{"image_id": "AB1C2", "dialog": turns}]})
    captions = [{"image_id": 1, "id": 7, "caption": "yes it is a dog"}, {"image_id": 1, "id": 8, "caption": "it is"}]
    coco = {"images": [{"name": "AB1C2_1", "id": 1}], "annotations": captions}
    write(package / "data" / "test_set4DSTC8-AVSD_multiref.json", coco)
    assert challenge_row(FILE_ROW, tmp_path)["references"] == {"1": ["yes it is a dog", "it is"]}
    assert replay([FILE_ROW], tmp_path)[0].status == "pass"


def test_challenge_files_that_are_missing_or_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        challenge_row(FILE_ROW, tmp_path)
    with pytest.raises(InputError, match="neither DSTC7 nor DSTC8"):
        challenge_row({**FILE_ROW, "references": {"file": "refs.json"}}, tmp_path)
    package = tmp_path / "dstc8avsd_eval"
    write(package / "sample" / "answers.json", {"dialogs": []})
    write(package / "data" / "test_set4DSTC8-AVSD_multiref.json", {"images": [{"id": 1}], "annotations": []})
    with pytest.raises(InputError, match="0 answers for 1 references"):
        challenge_row(FILE_ROW, tmp_path)
