"""The benchmark of a patch's cost runs and reports what it measured; its times are nobody's promise."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import pave

SCRIPT = Path(pave.__file__).parents[2] / "benchmarks" / "overhead.py"


@pytest.fixture(scope="module")
def overhead() -> ModuleType:
    spec = importlib.util.spec_from_file_location("overhead", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["overhead"] = module
    spec.loader.exec_module(module)
    return module


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
    for task in ("prefill", "generate"):
        assert set(found[task]["median_sec"]) == {"base", "unmerged", "merged"}
        assert all(seconds > 0 for times in found[task]["sec"].values() for seconds in times)
        assert all(len(times) == 2 for times in found[task]["sec"].values())
    assert result["threads"] == 1 and "torch" in result["versions"]


def test_ratios_compare_within_a_round(overhead: ModuleType) -> None:
    rounds = [{"base": 1.0, "unmerged": 1.2, "merged": 1.0}, {"base": 10.0, "unmerged": 14.0, "merged": 11.0}]
    summary = overhead._summary(rounds)
    assert summary["ratio"]["unmerged"] == pytest.approx(1.3)
    assert summary["ratio"]["merged"] == pytest.approx(1.05)
