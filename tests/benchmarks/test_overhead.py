"""The benchmark of a patch's cost runs and reports what it measured; its times are nobody's promise."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def overhead() -> ModuleType:
    return importlib.import_module("overhead")


def test_runs(overhead: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        result = overhead.main(["--quick", "--bases", "tiny", "--threads", "1", "--out", str(tmp_path / "out.json")])
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    found = result["bases"]["tiny"]
    assert found["sequence"] == 8 * 4 + 1 + 32
    assert found["lora_parameters"] > 0 and found["patch_parameters"] > 0
    for measured in (found[task][state] for task in ("prefill", "generate") for state in ("unmerged", "merged")):
        assert set(measured["median_sec"]) == {"base", "patch"} and set(measured["ratio"]) == {"patch"}
        assert all(len(times) == 2 and min(times) > 0 for times in measured["sec"].values())
    assert result["threads"] == 1 and "torch" in result["versions"]
