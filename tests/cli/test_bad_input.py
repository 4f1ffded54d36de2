"""Whatever is wrong with the user's input: exit code 2, one line, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from pave import LoraSpec, PaveModel, Preprocessing
from tests.batches import patch_config, randomize
from tests.cli.calls import refused
from tests.tiny import save_base, write_data, write_video

WIDTH = 8


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("llava_onevision", tmp_path_factory.mktemp("bad") / "base")


@pytest.fixture(scope="module")
def patch(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch that reads features made beforehand."""
    folder = tmp_path_factory.mktemp("patches") / "audio"
    model = PaveModel.from_base(base)
    model.add_patch("audio", patch_config(), LoraSpec(r=2), Preprocessing(3, {"type": "precomputed", "width": WIDTH}))
    randomize(model, "audio")
    model.save_patch("audio", folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", count=2, videos=1)


def truncated(folder: Path) -> Path:
    path = write_video(folder / "cut.mp4")
    path.write_bytes(path.read_bytes()[:300])
    return path


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "notes.mp4").write_text("no film at all")
    return folder / "notes.mp4"


def sound_only(folder: Path) -> Path:
    import soundfile

    soundfile.write(folder / "sound.wav", np.zeros(1600), 16000)
    return folder / "sound.wav"


class TestVideo:
    @pytest.mark.parametrize("make", [truncated, empty, text, sound_only, lambda folder: folder / "absent.mp4"])
    def test_ask(
        self, base: Path, make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = make(tmp_path)
        line = refused("ask", capsys, "--base", base, "--frames", 3, "--video", path, "--question", "what colour ?")
        assert path.name in line

    def test_eval_writes_nothing(self, base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        video = data / "clips" / "000000.mp4"
        video.write_bytes(video.read_bytes()[:200])
        out = data.parent / "result"
        line = refused("eval", capsys, "--data", data, "--base", base, "--frames", 3, "--out", out)
        assert "000000.mp4" in line and not out.exists()


def feature_file(folder: Path, values: torch.Tensor, times: list[float]) -> Path:
    save_file({"values": values, "times_sec": torch.tensor(times, dtype=torch.float64)}, folder / "side.safetensors")
    return folder / "side.safetensors"


NAN = torch.full((3, 1, WIDTH), torch.nan)
GOOD = torch.zeros(3, 1, WIDTH)


class TestSide:
    @pytest.mark.parametrize(
        ("values", "times", "message"),
        [
            (NAN, [0.0, 1.0, 2.0], "NaN"),
            (torch.zeros(3, 1, WIDTH + 1), [0.0, 1.0, 2.0], f"{WIDTH + 1}"),
            (GOOD, [0.0, 2.0, 1.0], "goes back"),
            (GOOD, [-1.0, 0.0, 1.0], "negative"),
            (GOOD, [0.0, 1.0], "for 3 steps"),
        ],
    )
    def test_tensors(
        self,
        patch: Path,
        base: Path,
        values: torch.Tensor,
        times: list[float],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        side, video = feature_file(tmp_path, values, times), write_video(tmp_path / "clip.mp4")
        line = refused(
            "ask", capsys, "--base", base, "--patch", patch, "--video", video, "--question", "what ?",
            "--side", f"audio={side}",
        )  # fmt: skip
        assert message in line and "side.safetensors" in line

    def test_a_sound_file_that_is_none(self, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        model = PaveModel.from_base(base)
        width = 64 * 4
        model.add_patch("audio", patch_config(side_dim=width), None, Preprocessing(3, {"type": "log_mel"}))
        model.save_patch("audio", tmp_path / "patch")
        capsys.readouterr()  # What transformers said while the patch was made is none of the command's.
        (tmp_path / "sound.wav").write_text("no sound at all")
        video = write_video(tmp_path / "clip.mp4")
        line = refused(
            "ask", capsys, "--base", base, "--patch", tmp_path / "patch", "--video", video, "--question", "what ?",
            "--side", f"audio={tmp_path / 'sound.wav'}",
        )  # fmt: skip
        assert "sound.wav" in line


class TestSamples:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"messages": None}, "messages"),
            ({"id": 7}, "field 'id' is 7"),
            ({"video": "clips/absent.mp4"}, "absent.mp4 does not exist"),
            ({"side": {"adio": None}}, "unknown channel 'adio'"),
            ({"messages": [{"role": "user"}]}, "messages[0]"),
        ],
    )
    def test_lines(
        self,
        base: Path,
        data: Path,
        change: dict[str, Any],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = data / "samples.jsonl"
        first, second = path.read_text().splitlines()
        path.write_text(f"{first}\n{json.dumps(json.loads(second) | change)}\n")
        line = refused("eval", capsys, "--data", data, "--base", base, "--out", tmp_path / "result")
        assert "samples.jsonl:2: " in line and message in line
        assert not (tmp_path / "result").exists()

    def test_a_missing_field(self, base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = data / "samples.jsonl"
        line = json.loads(path.read_text().splitlines()[0])
        del line["video"]
        path.write_text(json.dumps(line))
        assert "samples.jsonl:1: field 'video' is missing" in refused("eval", capsys, "--data", data, "--base", base)


class TestPatchesAndBases:
    @pytest.mark.parametrize("command", ["ask", "eval"])
    def test_a_patch_that_is_spoiled(
        self, command: str, base: Path, patch: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        spoiled = tmp_path / "spoiled"
        (spoiled / "lora").mkdir(parents=True)
        for path in patch.rglob("*.*"):
            (spoiled / path.relative_to(patch)).write_bytes(path.read_bytes())
        config = json.loads((spoiled / "patch_config.json").read_text())
        (spoiled / "patch_config.json").write_text(json.dumps(config | {"format_version": 99}))
        more = ["--video", data / "clips" / "000000.mp4", "--question", "?"] if command == "ask" else ["--data", data]
        line = refused(command, capsys, "--base", base, "--patch", spoiled, *more)
        assert "format_version is 99" in line

    @pytest.mark.parametrize("command", [["info", "llava-onevison-7b"], ["eval", "--data", "x", "--base", "blindspt"]])
    def test_unknown_bases(self, command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        name, *arguments = command
        data = write_data(tmp_path / "data", count=1, videos=1)
        line = refused(name, capsys, *[data if argument == "x" else argument for argument in arguments])
        assert "did you mean" in line

    def test_unknown_patches(self, base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "unknown patch 'heer'" in refused("eval", capsys, "--data", data, "--base", base, "--patch", "heer")


class TestTraining:
    @pytest.fixture
    def config(self, base: Path, data: Path, tmp_path: Path) -> dict[str, Any]:
        return {
            "base": str(base),
            "out": str(tmp_path / "out"),
            "data": [{"path": str(data)}],
            "preprocessing": {"frames": 3},
            "patch": None,
            "lora": {"r": 2},
            "steps": 1,
        }

    def run(self, config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
        before = sorted(tmp_path.rglob("*"))
        line = refused("train", capsys, tmp_path / "run.yaml", *options)
        assert sorted(tmp_path.rglob("*")) == before
        return line

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"stepz": 3}, "unknown key 'stepz' in train; did you mean 'steps'"),
            ({"steps": "many"}, "steps"),
            ({"lora": {"rank": 3}}, "unknown key 'rank' in lora"),
            ({"data": [{"path": "nowhere"}]}, "nowhere: no such file"),
            ({"base": "blindspt"}, "did you mean 'blindspot'"),
            ({"lora": None}, "nothing to train"),
            ({"precision": "fp23"}, "precision"),
        ],
    )
    def test_settings(
        self,
        config: dict[str, Any],
        change: dict[str, Any],
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert message in self.run(config | change, tmp_path, capsys)

    def test_an_output_folder_that_is_not_empty(
        self, config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("years of work")
        assert "not empty" in self.run(config, tmp_path, capsys)

    def test_an_unknown_option(
        self, config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "'--stepz'; did you mean '--steps'" in self.run(config, tmp_path, capsys, "--stepz", "3")


class TestCommands:
    def test_unknown_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "unknown command 'trane'" in refused("trane", capsys)

    def test_making_into_a_folder_that_is_not_empty(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        line = refused("blindspot", capsys, "make", "--track", "hear", "--count", 4, "--seed", 1, "--out", tmp_path)
        assert "not an empty folder" in line
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_unknown_track(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = refused(
            "blindspot", capsys, "make", "--track", "heer", "--count", 4, "--seed", 1, "--out", tmp_path / "s"
        )
        assert "did you mean 'hear'" in line and not (tmp_path / "s").exists()


@pytest.mark.parametrize("extra", [(), ("--patch.layers", "0")])
def test_a_value_out_of_range_inside_a_settings_file(
    extra: tuple[str, ...], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "run.yaml"
    scale = "1.0" if extra else ".nan"
    settings.write_text(
        f"base: blindspot\nout: {tmp_path / 'out'}\ndata: [{{path: {data}}}]\n"
        f"patch: {{channel: audio, side_dim: 8, side_scale: {scale}}}\n"
        "preprocessing: {frames: 8, encoder: {type: log_mel}}\n"
    )
    line = refused("train", capsys, settings, *extra)
    assert ("layers is 0; it must be at least 1" if extra else "side_scale is nan; it must be above 0") in line
    assert not (tmp_path / "out").exists()
