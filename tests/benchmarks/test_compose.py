"""The benchmark of mixed batches runs and reports what it measured; its times are nobody's promise."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def compose() -> ModuleType:
    return importlib.import_module("compose")


def test_runs(compose: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        result = compose.main(["--quick", "--bases", "tiny", "--threads", "1", "--out", str(tmp_path / "out.json")])
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    found = result["bases"]["tiny"]
    assert found["samples"] == 8 and found["patches"] == 4
    for task in ("prefill", "generate"):
        assert set(found[task]["median_sec"]) == {"base", "single", "mixed", "in turn"}
        assert set(found[task]["ratio"]) == {"base", "mixed", "in turn"}
        assert all(len(times) == 2 and min(times) > 0 for times in found[task]["sec"].values())
