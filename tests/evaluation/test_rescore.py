"""Old responses and predictions made elsewhere, scored without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pave.cli import main
from pave.data.jsonl import read_samples
from pave.errors import InputError
from pave.evaluation.rescore import rescore
from pave.evaluation.responses import as_line, read_responses, response_to
from pave.evaluation.shuffled import write_shuffled
from tests.tiny import write_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "set", count=4, videos=2)


def write_predictions(path: Path, predictions: list[tuple[str, Any]]) -> Path:
    lines = [json.dumps({"id": name, "prediction": said}) + "\n" for name, said in predictions]
    path.write_text("".join(lines))
    return path


RIGHT = [("tiny-0", "Red cube."), ("tiny-1", "no"), ("tiny-2", "Blue ring"), ("tiny-3", "")]


def test_predictions_of_others(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_predictions(tmp_path / "said.jsonl", list(reversed(RIGHT)))
    found = rescore(path, data=[data])
    assert (found["accuracy"], found["n"], found["empty"]) == (0.5, 4, 1)
    assert found["interval"][0] < 0.5 < found["interval"][1]
    arguments = ["score", str(path), "--data", str(data), "--convention", "exact", "--out", str(tmp_path / "s.json")]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "s.json").read_text())
    assert main(arguments) == 0
    assert "50.0%" in capsys.readouterr().out


def test_a_seed_below_zero(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed is -1; it must be 0 or more"):
        rescore(write_predictions(tmp_path / "said.jsonl", RIGHT), data=[data], seed=-1)
    with pytest.raises(InputError, match="seed is -1; it must be 0 or more"):
        write_shuffled(data, tmp_path / "shuffled", seed=-1)


def test_predictions_are_of_one_data_set(data: Path, tmp_path: Path) -> None:
    other = write_data(tmp_path / "other", count=4, videos=2)
    with pytest.raises(InputError, match="samples.jsonl:1 has the id 'tiny-0' of .*; score one set at a time"):
        rescore(write_predictions(tmp_path / "said.jsonl", RIGHT), data=[data, other])


@pytest.mark.parametrize("change", [{"extra": None}, {"prediction": None}, {"correct": 1}, {"absent": "audio"}])
def test_fields_of_another_type_are_no_response(data: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    line = json.loads(as_line(response_to(read_samples(data)[0], "yes")))
    (tmp_path / "responses.jsonl").write_text(json.dumps({**line, **change}) + "\n")
    with pytest.raises(InputError, match="responses.jsonl:1: no response as pave eval writes it"):
        rescore(tmp_path / "responses.jsonl")


def test_responses_carry_all_that_scores_need(data: Path, tmp_path: Path) -> None:
    said = dict(RIGHT)
    responses = [response_to(sample, said[sample.id]) for sample in read_samples(data)]
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "responses.jsonl").write_bytes(b"".join(map(as_line, responses)))
    (data / "samples.jsonl").unlink()
    by_folder, by_file = rescore(folder), rescore(folder / "responses.jsonl", "exact", "blindspot")
    assert by_folder == by_file and by_folder["accuracy"] == 0.5 and by_folder["chance"] == 0.5
    assert set(by_folder["by_form"]) == {"order", "place"}
    assert [response.id for response in read_responses(folder / "responses.jsonl")] == list(said)


def test_an_evaluation_that_was_cut_short_is_not_scored_as_if_it_were_whole(data: Path, tmp_path: Path) -> None:
    said, folder = dict(RIGHT), tmp_path / "out"
    responses = [response_to(sample, said[sample.id]) for sample in read_samples(data)]
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"samples": 4}))
    (folder / "responses.jsonl").write_bytes(b"".join(map(as_line, responses[:3])))
    with pytest.raises(InputError, match="out: holds 3 of 4 responses and is not done; run the same pave eval again"):
        rescore(folder)
    (folder / "responses.jsonl").write_bytes(b"".join(map(as_line, responses)))
    (folder / "result.json").write_text(json.dumps({"skipped_reasons": {"no answer": 2}}))
    assert rescore(folder)["skipped_reasons"] == {"no answer": 2}


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (RIGHT[:3], "1 of 4 samples have no prediction, first 'tiny-3'"),
        ([*RIGHT, RIGHT[0]], ":5: id 'tiny-0' is there a second time"),
        ([*RIGHT, ("tiny-9", "yes")], "id 'tiny-9' is of no sample of the data set; did you mean 'tiny-"),
        ([*RIGHT[:3], ("tiny-3", 7)], ":4: id and prediction must be texts"),
    ],
)
def test_ids_that_do_not_fit(data: Path, tmp_path: Path, predictions: list[Any], message: str) -> None:
    path = write_predictions(tmp_path / "said.jsonl", predictions)
    with pytest.raises(InputError, match=f"said.jsonl:?.*{message}"):
        rescore(path, data=[data])


def test_files_that_hold_no_responses(data: Path, tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "said.jsonl", RIGHT)
    with pytest.raises(InputError, match="said.jsonl:1: no response as pave eval writes it"):
        rescore(path)
    with pytest.raises(InputError, match="nothing.jsonl: no such file"):
        rescore(tmp_path / "nothing.jsonl")
    path.write_text('{"id": "a", "predic')
    with pytest.raises(InputError, match="said.jsonl:1: not valid JSON"):
        rescore(path)
    with pytest.raises(InputError, match='said.jsonl:1: write {"id"'):
        rescore(path, data=[data])
