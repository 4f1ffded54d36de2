"""AVQA, Video-MME, MVBench and MLVU: letters, prompts to the letter, subtitles, cut clips, faulty questions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pave.errors import InputError
from pave.evaluation.benchmarks import mlvu as mlvu_module
from pave.evaluation.benchmarks import mvbench as mvbench_module
from pave.evaluation.benchmarks import video_mme as video_mme_module
from pave.evaluation.benchmarks.subtitles import shown
from pave.media.probe import probe
from tests.evaluation.benchmarks.raw_files import SRT, avqa, mlvu, mvbench, prepared, video_mme, write_json

VECTORS = Path(__file__).parents[4] / "shared" / "vectors.json"


def vector(benchmark: str, convention: str) -> dict:
    if not VECTORS.is_file():
        pytest.skip("the check vectors are not beside this checkout")
    found = json.loads(VECTORS.read_text(encoding="utf-8"))
    return next(row for row in found if (row["benchmark"], row["convention"]) == (benchmark, convention))


class TestAVQA:
    def test_prompt(self, tmp_path: Path) -> None:
        _, (first, second) = prepared("avqa", avqa(tmp_path / "raw"), tmp_path / "out")
        lines = first["messages"][0]["content"].split("\n")
        assert lines[0].endswith("based on the video and the subtitles. Respond with only the letter (A, B, C, or D) "
                                 "of the correct option.")  # fmt: skip
        assert lines[1:] == [
            "What is the main source of sound in the video?",
            "A.dog",
            "B.train",
            "C.rain",
            "D.piano",
            "Answer with the option's letter from the given choices directly.",
        ]
        assert (first["references"], first["category"], first["id"]) == (["B"], "Come From", "101")
        assert second["choices"] == ["1", "2", "3"] and "(A, B, or C)" in second["messages"][0]["content"]

    @pytest.mark.parametrize(("answer", "letter"), [(0, "A"), (2, "B"), (3, "C"), (1, None)])
    def test_the_answers_number_counts_what_stands_for_no_option(
        self, answer: int, letter: str | None, tmp_path: Path
    ) -> None:
        raw = avqa(tmp_path / "raw")
        path = raw / "data/annotation/val_qa.json"
        (entry, _) = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, [{**entry, "multi_choice": ["dog", "NULL", "rain", "piano"], "answer": answer}])
        if letter is None:
            with pytest.raises(InputError, match="entry 1: answer is 1; it must be"):
                prepared("avqa", raw, tmp_path / "out")
            return
        _, (sample,) = prepared("avqa", raw, tmp_path / "out")
        assert sample["choices"] == ["dog", "rain", "piano"] and sample["references"] == [letter]

    @pytest.mark.parametrize("answer", [4, -1, "B"])
    def test_an_answer_that_is_no_option(self, answer: object, tmp_path: Path) -> None:
        raw = avqa(tmp_path / "raw")
        path = raw / "data/annotation/val_qa.json"
        (entry, _) = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, [{**entry, "answer": answer}])
        with pytest.raises(InputError, match=f"entry 1: answer is {answer!r}; it must be"):
            prepared("avqa", raw, tmp_path / "out")


class TestVideoMME:
    def test_without_subtitles(self, tmp_path: Path) -> None:
        raw = video_mme(tmp_path / "raw")
        _, (first, second) = prepared("video-mme", raw, tmp_path / "out")
        assert first["video"].endswith("data/AbCdEfGhIj1.MP4") and second["missing"] == ["data/AbCdEfGhIj2.mp4"]
        assert first["choices"] == ["Sun.", "Moon.", "Mars.", "None."] and first["references"] == ["B"]
        assert (first["category"], first["domain"], first["task_type"]) == ("short", "Knowledge", "OCR Problems")

    def test_with_subtitles(self, tmp_path: Path) -> None:
        raw = video_mme(tmp_path / "raw")
        options = {"split": "test-subtitles", "frames": 4}
        manifest, (first, second) = prepared("video-mme", raw, tmp_path / "out", **options)
        text = first["messages"][0]["content"]
        assert text.startswith("This video's subtitles are listed below: \nfirst line\ntwo\nSelect the best answer")
        assert text.endswith("D. None.\nThe best answer is:")
        assert "No subtitles available" in second["messages"][0]["content"]
        assert manifest.notes == {"without subtitles": 1} and manifest.options == {"frames": 4}
        # One frame, the first: the second row is not on screen then.
        _, (first, _) = prepared("video-mme", raw, tmp_path / "one", split="test-subtitles", frames=1)
        assert "two" not in first["messages"][0]["content"]

    def test_frames_without_subtitles(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="split test shows none"):
            prepared("video-mme", video_mme(tmp_path / "raw"), tmp_path / "out", frames=4)

    def test_a_damaged_table(self, tmp_path: Path) -> None:
        raw = video_mme(tmp_path / "raw")
        (raw / "videomme/test-00000-of-00001.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match="no Parquet table that can be read"):
            prepared("video-mme", raw, tmp_path / "out")

    def test_without_pyarrow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = video_mme(tmp_path / "raw")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(InputError, match=r"needs pyarrow to be read; install it with: pip install 'pave\[benchm"):
            prepared("video-mme", raw, tmp_path / "out")

    def test_rows_on_screen(self) -> None:
        assert shown(SRT, np.array([0, 6, 13]), 10.0) == ["first line"]
        assert shown(SRT, np.array([15]), 10.0) == ["two"]
        assert shown("no subtitles", np.array([0]), 10.0) == []

    def test_prompts_are_those_of_lmms_eval(self) -> None:
        plain = vector("Video-MME", "lmms_eval.prompt")
        asked = plain["prediction"]
        found = video_mme_module.prompt("lmms-eval", asked["question"], asked["options"])
        assert found == plain["expected"]
        titled = vector("Video-MME", "lmms_eval.prompt_subtitle")
        rows = shown(titled["references"], np.linspace(0, 99, 4, dtype=int), 10.0)
        found = video_mme_module.prompt("lmms-eval", asked["question"], asked["options"], rows)
        assert found == titled["expected"]

    def test_the_official_prompt(self) -> None:
        found = video_mme_module.prompt("official", "What?", ["A. x", "B. y", "C. z", "D. w"])
        assert "based on the video. Respond" in found and found.endswith("D. w\nThe best answer is:")


class TestMVBench:
    def test_prompt_is_that_of_lmms_eval(self) -> None:
        row = vector("MVBench", "lmms_eval.prompt")
        asked = row["prediction"]
        assert mvbench_module.prompt("lmms-eval", asked["question"], asked["candidates"]) == row["expected"]

    def test_the_official_prompt(self, tmp_path: Path) -> None:
        _, lines = prepared("mvbench", mvbench(tmp_path / "raw"), tmp_path / "out", prompt="official")
        system, user, assistant = lines[0]["messages"]
        assert system["role"] == "system" and system["content"].startswith("Carefully watch the video")
        assert (
            user["content"] == "Question: What moves?\nOptions:\n(A) A cube.\n(B) A ball.\nOnly give the best option."
        )
        assert assistant["content"] == "B" and lines[0]["answer_text"] == "A ball."

    def test_cut_and_whole_films(self, tmp_path: Path) -> None:
        raw = mvbench(tmp_path / "raw")
        manifest, lines = prepared("mvbench", raw, tmp_path / "out")
        by_task = {line["category"]: line for line in lines}
        cut = "clip_0.5_1.2999999999999998"
        assert by_task["Object Existence"]["video"] == str(raw / "video/clevrer/video_validation/clip.mp4")
        assert by_task["Action Localization"]["video"] == str(raw / f"video/sta/sta_video_segment/{cut}.mp4")
        assert by_task["Action Sequence"]["missing"] == [f"star/Charades_segment/{cut}.mp4"]
        assert by_task["Fine-grained Pose"]["missing"] == ["nturgbd_convert/clip.mp4"]
        assert manifest.notes["its video can be made of what is there: use --films"] == 4

    def test_films_are_cut_and_made_of_pictures(self, tmp_path: Path) -> None:
        _, lines = prepared("mvbench", mvbench(tmp_path / "raw"), tmp_path / "out", films=True)
        by_task = {line["category"]: line for line in lines}
        paths = [tmp_path / "out" / by_task[task]["video"] for task in ("Action Sequence", "Episodic Reasoning")]
        # Frames 5 to 12 of 10 a second; pictures 3 and 4 of 3 a second, the first at second 0.
        assert probe(paths[0]).duration_sec == pytest.approx(0.8, abs=0.05)
        assert probe(paths[1]).duration_sec == pytest.approx(2 / 3, abs=0.2)
        assert by_task["Object Interaction"]["video"] == by_task["Action Sequence"]["video"]

    def test_nothing_to_cut(self, tmp_path: Path) -> None:
        raw = mvbench(tmp_path / "raw")
        path = raw / "json/action_sequence.json"
        (entry,) = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, [{**entry, "start": 50, "end": 60}])
        with pytest.raises(InputError, match="shows nothing between 50 s and 60 s; check the annotation"):
            prepared("mvbench", raw, tmp_path / "out", films=True)
        assert not (tmp_path / "out").exists()

    def test_an_answer_that_is_no_candidate(self, tmp_path: Path) -> None:
        raw = mvbench(tmp_path / "raw")
        path = raw / "json/moving_count.json"
        (entry,) = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, [{**entry, "answer": "A cone."}])
        with pytest.raises(InputError, match="answer 'A cone.' is none of the candidates"):
            prepared("mvbench", raw, tmp_path / "out")


class TestMLVU:
    def test_faults_of_the_published_files(self, tmp_path: Path) -> None:
        manifest, lines = prepared("mlvu", mlvu(tmp_path / "raw"), tmp_path / "out")
        by_id = {line["id"]: line for line in lines}
        assert by_id["1_plotQA-0"]["references"] == ["B"] and by_id["1_plotQA-0"]["category"] == "plotQA"
        # Of two options that are the same the authors' code takes the last.
        assert by_id["1_plotQA-1"]["references"] == ["C"]
        assert by_id["2_needle-1"]["references"] == ["@"] and by_id["2_needle-0"]["category"] == "needle"
        assert manifest.notes == {"answer is none of the options": 1, "an option stands twice": 1}

    def test_prompts(self) -> None:
        choices = ["Waves", "Points"]
        assert mlvu_module.prompt("lmms-eval", "What?", choices) == (
            "What?\n(A) Waves\n(B) Points\nOnly give the best option.\nBest option: ("
        )
        assert mlvu_module.prompt("official", "What?", choices) == (
            "Question: What?\nOptions:\n(A) Waves\n(B) Points\nOnly give the best option."
        )

    def test_free_text(self, tmp_path: Path) -> None:
        _, lines = prepared("mlvu", mlvu(tmp_path / "raw"), tmp_path / "out", split="dev-generation")
        assert [line["category"] for line in lines] == ["sub_scene", "summary"]
        assert lines[0]["scoring_points"] == ["a hand", "it waves"] and lines[0]["choices"] is None

    def test_a_file_in_the_place_of_another(self, tmp_path: Path) -> None:
        raw = mlvu(tmp_path / "raw")
        write_json(raw / "MLVU/json/3_ego.json", json.loads((raw / "MLVU/json/4_count.json").read_text()))
        with pytest.raises(InputError, match="question_type is 'count'; the published file has 'ego'"):
            prepared("mlvu", raw, tmp_path / "out")
