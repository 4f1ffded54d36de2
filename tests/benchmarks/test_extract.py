"""The benchmarks of media and extraction run and report what they measured; their times are nobody's promise."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import pave

FOLDER = Path(pave.__file__).parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"benchmark_{name}"] = module
    spec.loader.exec_module(module)
    return module


def test_media(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = script("media").main(["--quick", "--out", str(tmp_path / "out.json")])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    assert result["film"]["seconds"] == pytest.approx(8.0, abs=0.1)
    assert set(result["frames"]["median_sec"]) == {"pave", "whole file"}
    assert set(result["sound"]["ratio"]) == {"pave streamed", "plain"}
    assert all(len(times) == 2 for task in ("frames", "sound") for times in result[task]["sec"].values())


def test_a_comparison_of_different_results_is_void() -> None:
    variants = {"one": lambda: np.zeros(3, np.uint8), "other": lambda: np.ones(3, np.uint8)}
    with pytest.raises(RuntimeError, match="other gives another result; the comparison is void"):
        script("media").measure(variants, 1)


def test_extract(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        result = script("extract").main(["--quick", "--threads", "1", "--out", str(tmp_path / "out.json")])
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    training = result["training"]
    assert training["tower_share"] == pytest.approx(0.72, abs=0.02)
    assert set(training["steps_a_second"]) == {"through the tower", "stored tokens"}
    assert set(result["extraction"]["median_sec"]) == {"encoder alone", "extract", "extract again"}
