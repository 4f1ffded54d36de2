"""``pave data``: what it prints, and that it refuses on one line with exit code 2 and writes nothing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.cli import calls
from tests.evaluation.benchmarks.raw_files import avqa, avsd, blindspot, music_avqa
from tests.tiny import write_data

call = partial(calls.call, "data")
result = partial(calls.result, "data")
refused = partial(calls.refused, "data")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "list")["benchmarks"]
    assert found["avsd"]["splits"]["dstc10"] == 1804 and found["video-mme"]["max_new_tokens"] == 16
    assert call("list") == 0
    out = capsys.readouterr().out
    assert "mlvu: MLVU (dev)" in out and "dev (2,175)" in out and "conventions: " in out


class TestPrepare:
    def test_manifest(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        raw, out = music_avqa(tmp_path / "raw"), tmp_path / "out"
        options = ("--raw", raw, "--out", out, "--split", "train", "--duplicate-audio", "--channels", "audio")
        found = result(capsys, "prepare", "music-avqa", *options)
        assert (found["samples"]["found"], found["missing"], found["channels"]) == (5, 1, {"audio": 4})
        assert found["options"] == {"duplicate_audio": True}
        written = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        assert written["benchmark"] == "music-avqa" and written["missing"][0]["id"] == "9"

    def test_what_a_person_reads(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        raw = avsd(tmp_path / "raw")
        assert call("prepare", "avsd", "--raw", raw, "--out", tmp_path / "out", "--any-count") == 0
        out = capsys.readouterr().out
        assert "avsd dstc7, 2 of 1,710 samples" in out and "turn 2: 1 of 380" in out
        assert "lacking media: 1, each by name in manifest.json" in out

    def test_features(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "pt").mkdir()
        raw, features = avqa(tmp_path / "raw"), f"audio={tmp_path / 'pt'}"
        found = result(capsys, "prepare", "avqa", "--raw", raw, "--out", tmp_path / "out", "--features", features)
        assert found["channels"] == {"audio": 0, "frames": 1}

    def test_another_version(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        raw = music_avqa(tmp_path / "raw")
        line = refused(capsys, "prepare", "music-avqa", "--raw", raw, "--out", tmp_path / "out")
        assert "avqa-test.json: holds 3 questions; the official file has 9,129: get that one" in line
        assert not (tmp_path / "out").exists()

    def test_an_unknown_benchmark(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = refused(capsys, "prepare", "musicavqa", "--raw", tmp_path, "--out", tmp_path / "out")
        assert "unknown benchmark 'musicavqa'" in line and "did you mean 'music-avqa'" in line


class TestCheck:
    def test_shared(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sets = blindspot(tmp_path / "train"), blindspot(tmp_path / "test")
        found = result(capsys, "check", sets[0], "--against", sets[1])
        counts = {overlap["kind"]: overlap["test_samples"] for overlap in found["overlaps"]}
        assert found["found"] and counts["same path"] == 0 and counts["same content under another path"] == 1
        assert counts["same question about the same video"] == 1
        assert call("check", sets[0], "--against", sets[1], "--kinds", "media") == 0
        out = capsys.readouterr().out
        assert "same content under another path: 1, in 1 training and 1 test samples" in out
        assert "000000.mp4: hear-1-000000 and hear-1-000000" in out and "same question" not in out

    def test_strict(self, tmp_path: Path) -> None:
        sets = blindspot(tmp_path / "train"), blindspot(tmp_path / "test")
        with pytest.raises(SystemExit) as stopped:
            call("check", *sets, "--against", sets[1], "--strict")
        assert stopped.value.code == 1

    def test_strict_and_clean(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        train, test = blindspot(tmp_path / "train"), tmp_path / "test"
        test.mkdir()
        line = {"id": "a", "video": None, "messages": [{"role": "user", "content": "Another question?"}]}
        (test / "samples.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
        assert not result(capsys, "check", train, "--against", test, "--strict")["found"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nowhere", "--against", "nowhere"], "nowhere: no such file"),
            (["--against", "nowhere"], "train"),
            (["nowhere", "--against", "nowhere", "--kinds", "medium"], "unknown kind 'medium'; known: media"),
        ],
    )
    def test_refused(self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert message in refused(capsys, "check", *arguments)


class TestShuffle:
    def test_what_it_says(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_data(tmp_path / "set", count=4, videos=2)
        assert result(capsys, "shuffle", data, "--out", tmp_path / "out")["shuffled"] == 4
        assert call("shuffle", data, "--out", tmp_path / "again", "--seed", 1) == 0
        assert "again: 4 samples have the side channels of another clip" in capsys.readouterr().out

    def test_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_data(tmp_path / "set", count=4, videos=1)
        assert "there is nothing to shuffle" in refused(capsys, "shuffle", data, "--out", tmp_path / "out")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown command 'prepar'" in refused(capsys, "prepar")
