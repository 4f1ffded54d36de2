"""The benchmarks of media and extraction run and report what they measured; their times are nobody's promise."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch


def test_media(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = import_module("media").main(["--quick", "--out", str(tmp_path / "out.json")])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    assert result["film"]["seconds"] == pytest.approx(8.0, abs=0.1)
    assert set(result["frames"]["median_sec"]) == {"pave", "whole file"}
    assert set(result["sound"]["ratio"]) == {"pave streamed", "plain"}
    assert all(len(times) == 2 for task in ("frames", "sound") for times in result[task]["sec"].values())


def test_a_comparison_of_different_results_is_void() -> None:
    variants = {"one": lambda: np.zeros(3, np.uint8), "other": lambda: np.ones(3, np.uint8)}
    with pytest.raises(RuntimeError, match="other gives another result; the comparison is void"):
        import_module("media").check_same(variants)


def test_extract(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        result = import_module("extract").main(["--quick", "--threads", "1", "--out", str(tmp_path / "out.json")])
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    training = result["training"]
    assert training["tower_share"] == pytest.approx(0.72, abs=0.02)
    assert set(training["steps_a_second"]) == {"through the tower", "stored tokens"}
    assert set(result["extraction"]["median_sec"]) == {"encoder alone", "extract", "extract again"}
