"""``pave doctor`` finds what is there and what is missing, and says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from pave import shipped
from pave.cli import doctor, main
from tests.tiny import patched, save_base


@pytest.fixture
def tiny_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let a tiny base and a tiny patch stand for those in the package."""
    save_base("llava_onevision", tmp_path / "bases" / "blindspot")
    patched("llava_onevision").save_patch("audio", tmp_path / "patches" / "tiny")
    monkeypatch.setattr(shipped, "_ROOT", tmp_path)
    return tmp_path / "patches" / "tiny"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        code = main(["doctor", *arguments])
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    return code, capsys.readouterr().out


def test_everything_is_there(capsys: pytest.CaptureFixture[str], tiny_shipped: Path) -> None:
    code, printed = run(capsys, "--json")
    result = json.loads(printed.splitlines()[-1])
    assert code == 0 and result["ok"] is True
    found = {check["name"]: check for check in result["checks"]}
    assert {"python", "torch", "transformers", "peft", "av", "read h264", "read aac", "cpu"} <= set(found)
    assert "answers" in found["base blindspot"]["found"] and "answers" in found["patch tiny"]["found"]
    assert "float32" in found["cpu"]["found"]
    assert found["encoded videos"]["ok"]


def test_a_damaged_patch_is_a_problem(capsys: pytest.CaptureFixture[str], tiny_shipped: Path) -> None:
    (tiny_shipped / "patch.safetensors").write_bytes(b"damaged")
    code, printed = run(capsys)
    assert code == 1
    assert "problem" in printed and "reinstall" in printed


def test_missing_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, mode: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr(av, "Codec", refuse)
    checks = list(doctor.check_codecs())
    assert [check.ok for check in checks] == [False] * 4
    assert [check.needed for check in checks] == [True, True, False, False]


def test_old_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: "0.0.1")
    checks = {check.name: check for check in doctor.check_packages()}
    assert not checks["transformers"].ok
    assert "pip install 'transformers>=" in checks["transformers"].advice


def test_missing_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlavaOnevisionForConditionalGeneration

    monkeypatch.setattr(LlavaOnevisionForConditionalGeneration, "forward", lambda self, input_ids: None)
    (check,) = doctor.check_seam()
    assert not check.ok and "transformers>=5.18" in check.advice


def test_a_broken_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_nothing() -> list[doctor.Check]:
        raise OSError("gone")

    (check,) = doctor._guarded(check_nothing)  # type: ignore[arg-type]
    assert not check.ok and check.found == "OSError: gone"
