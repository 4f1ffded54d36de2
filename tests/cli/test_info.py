"""``pave info`` counts known sizes and patches, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pave
from pave.bases.sizes import sizes
from pave.cli import main
from tests.tiny import base_folder, patched

CONFIGS = Path(pave.__file__).parents[2] / "configs"


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["info", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refusal_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["info", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    return captured.err


def test_the_audio_patch_beside_seven_billion(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, "llava-onevision-7b", "--patch", str(CONFIGS / "patch-audio.yaml"))
    assert result["base"]["parameters"] == pytest.approx(8.03e9, rel=1e-3)
    # Tower 20.5 T, projector 0.8 T, language model 98.2 T, by hand from the published sizes.
    assert result["base"]["flops"] == pytest.approx(119.6e12, rel=1e-3)
    assert result["sequence"] == 32 * 196 + 1 + 32
    assert result["patch"]["parameter_share"] == pytest.approx(0.0011, abs=0.00005)
    assert result["patch"]["flops_share"] < 0.001
    assert result["lora"]["parameters"] == 161_480_704
    assert result["lora"]["parameter_share"] == pytest.approx(0.0201, abs=0.0001)
    assert result["encoder"]["parameters"] > 0


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "llava-onevision-0.5b", "--patch", str(CONFIGS / "patch-audio.yaml")]) == 0
    printed = capsys.readouterr().out
    for word in ("vision tower", "language model", "base", "patch", "LoRA", "encoder", "0.70 %", "893.68 M"):
        assert word in printed


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(sizes()) > 50
    assert any(line.split() == ["qwen2.5-vl-7b", "8.29", "B", "Qwen/Qwen2.5-VL-7B-Instruct"] for line in lines)
    assert set(result_of(capsys, "--list")["sizes"]) == set(sizes())


def test_experts_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    base = result_of(capsys, "qwen3-vl-30b-a3b", "--frames", "4")["base"]
    # Eight of 128 experts in each of 48 layers, three matrices of 2048 x 768 each.
    assert base["parameters"] - base["active_parameters"] == 120 * 48 * 3 * 2048 * 768
    assert base["bytes"] == 2 * base["parameters"]
    assert (
        base["cache_bytes"]
        == result_of(capsys, "qwen3-vl-30b-a3b", "--frames", "4")["sequence"] * 2 * 4 * 128 * 48 * 2
    )
    assert main(["info", "qwen3-vl-30b-a3b", "--frames", "4"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "57.87 GiB" in printed and "parameters are active for a text token" in printed


def test_patch_folder_with_told_side_steps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    patched("llava_onevision").save_patch("audio", tmp_path / "patch")
    base = str(base_folder("llava_onevision"))
    told = ("--side-steps", "5", "--side-tokens", "2")
    result = result_of(capsys, base, "--patch", str(tmp_path / "patch"), *told)
    assert result["frames"] == 4
    assert "encoder" not in result
    assert result["patch"]["parameters"] > 0
    assert "side_steps" not in result_of(capsys, base)


def test_an_encoder_that_cannot_be_read_is_left_out_if_its_steps_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "patch.yaml"
    file.write_text(
        "patch: {channel: audio, side_dim: 4}\n"
        f"preprocessing: {{frames: 2, encoder: {{type: audio, model: {tmp_path / 'nothing'}}}}}\n"
    )
    base = str(base_folder("llava_onevision"))
    assert "give --side-steps and --side-tokens" in refusal_of(capsys, base, "--patch", str(file))
    result = result_of(capsys, base, "--patch", str(file), "--side-steps", "5", "--side-tokens", "1")
    assert "encoder" not in result and result["side_steps"] == 5


def test_layout_of_the_patch_decides_the_sequence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "patch.yaml"
    file.write_text("patch: {channel: audio, side_dim: 1024, layout: grid}")
    told = ("--side-steps", "60", "--side-tokens", "1")
    result = result_of(capsys, "llava-onevision-0.5b", "--patch", str(file), *told)
    assert result["sequence"] == 32 * 14 * 15 + 32


def test_refusals(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "did you mean 'llava-onevision-7b'" in refusal_of(capsys, "llava-onevison-7b")
    assert "did you mean 'internvl3.5-8b'" in refusal_of(capsys, "internvl3.5-8")
    assert "give a base" in refusal_of(capsys)
    assert "no such file" in refusal_of(capsys, "llava-onevision-7b", "--patch", str(tmp_path / "none.yaml"))
    assert "frames is 0" in refusal_of(capsys, "llava-onevision-7b", "--frames", "0")
    assert "side_tokens is of what a patch reads" in refusal_of(capsys, "llava-onevision-7b", "--side-tokens", "4")
    told = ("--patch", str(tmp_path / "none.yaml"), "--side-steps", "-5")
    assert "side_steps is -5; it must be at least 1" in refusal_of(capsys, "llava-onevision-7b", *told)
    assert "seconds is 0" in refusal_of(capsys, "llava-onevision-7b", "--seconds", "0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pach: {}", "unknown key 'pach'; did you mean 'patch'"),
        ("patch: {channel: audio}", "lacks 'side_dim'"),
        ("preprocessing: {frames: 8}", "neither patch nor lora"),
        ("patch: {channel: audio, side_dim: 4}", "give --side-steps and --side-tokens"),
        ("- 1", "holds no mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_refused_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "patch.yaml").write_text(text)
    base = str(base_folder("llava_onevision"))
    assert message in refusal_of(capsys, base, "--patch", str(tmp_path / "patch.yaml"))
