"""The benchmark of training steps runs the methods of the study's plan; its times are nobody's promise."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def steps() -> ModuleType:
    return importlib.import_module("steps")


def test_runs(steps: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        arguments = ["--quick", "--tracks", "blink", "--threads", "1", "--out", str(tmp_path / "out.json")]
        result = steps.main(arguments)
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert json.loads((tmp_path / "out.json").read_text()) == result
    found = result["tracks"]["blink"]
    assert list(found["median_sec"]) == ["lora", "append", "reference", "default"]
    assert set(found["ratio"]) == {"append", "reference", "default"}
    assert all(len(times) == 2 and min(times) > 0 for times in found["sec"].values())


@pytest.mark.parametrize("samples", ["0", "6"])
def test_samples_that_do_not_make_equal_passes_are_refused(
    steps: ModuleType, capsys: pytest.CaptureFixture[str], samples: str
) -> None:
    with pytest.raises(SystemExit):
        steps.main(["--samples", samples])
    assert f"--samples is {samples}; methods of the plan take it in passes, so give a multiple of 4" in (
        capsys.readouterr().err
    )
