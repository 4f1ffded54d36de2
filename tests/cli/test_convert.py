"""``pave convert``: what it prints, and that it refuses on one line with exit code 2 and writes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from pave.checkpoint import read_spec
from pave.cli.convert import COMMANDS
from tests.cli import calls
from tests.convert.checkpoints import NAME, PATCH_FILE, Intruder, write_checkpoint, write_two, zipped
from tests.convert.golden import BASE, GOLDEN
from tests.tiny import base_folder

call = partial(calls.call, "convert")
result = partial(calls.result, "convert")
refused = partial(calls.refused, "convert")


@pytest.fixture(scope="module")
def base() -> Path:
    return base_folder("llava_onevision")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return zipped(write_checkpoint(tmp_path / "in" / NAME), tmp_path / f"{NAME}.zip", f"{NAME}/")


class TestReference:
    def test_a_zip(self, base: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = result(capsys, "reference", archive, "--base", base, "--out", tmp_path / "out")
        (patch,) = found["patches"]
        assert found["out"] == patch["folder"] == str(tmp_path / "out")
        assert (patch["channel"], patch["positions"], patch["tensors"]) == ("audio", "none", 26)
        assert (found["lora_tensors"], found["lora_shared"]) == (28, None)

    def test_what_a_person_reads(
        self, base: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = ("--positions", "rotary_3d", "--heads", 2, "--channel", "sound")
        assert call("reference", archive, "--base", base, "--out", tmp_path / "out", *told) == 0
        text = capsys.readouterr().out
        assert "2 layers of 2 heads" in text and "positions rotary_3d as told" in text and "LoRA: 28 tensors" in text
        spec = read_spec(tmp_path / "out")
        assert spec.patch is not None and spec.patch.channel == "sound"

    def test_two_patches(self, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = write_two(tmp_path / "two")
        told = ("--channel", "first", "second")
        found = result(capsys, "reference", source, "--base", base, "--out", tmp_path / "out", *told)
        assert [patch["channel"] for patch in found["patches"]] == ["first", "second"] and found["lora_shared"]

    def test_guesses_are_said(self, base: Path, archive: Path, tmp_path: Path) -> None:
        code = f"from pave.cli import main; main({['convert', 'reference', str(archive), '--base', str(base)]}"
        code += f" + ['--out', {str(tmp_path / 'out')!r}])"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "the weights do not tell the positions; taken as 'none' from '5_1_3' in the name" in run.stderr
        assert all(line.startswith("pave: ") for line in run.stderr.strip().splitlines())

    def test_refusals(self, base: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        line = refused(capsys, "reference", tmp_path / "no.zip", "--base", base, "--out", out)
        assert "no.zip: no such folder or zip" in line
        line = refused(capsys, "reference", archive, "--base", base, "--out", out, "--positions", "rotery_3d")
        assert "did you mean 'rotary_3d'" in line
        line = refused(capsys, "reference", archive, "--base", base, "--out", archive.parent)
        assert "exists and is not empty" in line
        torch.save({"a": Intruder(tmp_path / "marker")}, tmp_path / "in" / NAME / PATCH_FILE)
        line = refused(capsys, "reference", tmp_path / "in" / NAME, "--base", base, "--out", out)
        assert f"{PATCH_FILE}: holds 'posix.system'" in line
        assert not out.exists() and not (tmp_path / "marker").exists()


class TestToReference:
    def test_there_and_back(
        self, base: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result(capsys, "reference", archive, "--base", base, "--out", tmp_path / "one")
        found = result(capsys, "to-reference", tmp_path / "one", "--out", tmp_path / "pave_lora")
        assert (found["channels"], found["tensors"], found["drawn"]) == (["audio"], 30, 0)
        result(capsys, "reference", tmp_path / "pave_lora", "--base", base, "--out", tmp_path / "two")
        for file in ("patch.safetensors", "patch_config.json", "lora/adapter_model.safetensors"):
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        capsys.readouterr()
        assert call("to-reference", tmp_path / "one", "--out", tmp_path / "pave_lora_again") == 0
        assert "audio: input_dim 6, output_dim 32" in capsys.readouterr().out

    def test_refusals(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "patch.value_projection is" in refused(capsys, "to-reference", "hear", "--out", tmp_path / "out")
        assert "unknown patch" in refused(capsys, "to-reference", tmp_path / "none", "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's base is not beside this checkout")
def test_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "base", BASE, "--out", tmp_path / "base")
    assert found["out"] == str(tmp_path / "base") and found["tensors"] > 0
    assert call("base", BASE, "--out", tmp_path / "again") == 0
    assert f"{tmp_path / 'again'}: {found['tensors']} tensors" in capsys.readouterr().out


def test_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.mp4").touch()
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "a mug"}]
    entries = [{"id": f"q-{name}", "video": f"{name}.mp4", "conversations": turns} for name in ("one", "two")]
    (tmp_path / "train.json").write_text(json.dumps(entries))
    (tmp_path / "mapping.json").write_text(json.dumps({"one": "one.mp4"}))
    told = ("annotations", tmp_path / "train.json", tmp_path / "mapping.json", "--out")
    found = result(capsys, *told, tmp_path / "samples.jsonl")
    assert (found["read"], found["written"], sum(found["dropped"].values())) == (2, 1, 1)
    assert call(*told, tmp_path / "more" / "samples.jsonl") == 0
    text = capsys.readouterr().out
    assert "1 of 2 entries" in text and "dropped 1: " in text
    line = refused(
        capsys, "annotations", tmp_path / "no.json", tmp_path / "mapping.json", "--out", tmp_path / "x.jsonl"
    )
    assert "no.json" in line


def test_usage_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "did you mean 'reference'" in refused(capsys, "refrence")
    assert "unknown option '--bse'; did you mean '--base'" in refused(capsys, "reference", "x", "--bse", "y")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(name, "--help")
    assert caught.value.code == 0
    documentation = COMMANDS[name].run.__doc__ or ""
    options = [option for option in COMMANDS[name].run.__annotations__ if option != "return"]
    assert all(f"        {option}: " in documentation for option in options)
