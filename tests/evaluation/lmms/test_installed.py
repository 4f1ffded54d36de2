"""The model and a task inside the installed lmms-eval, end to end; runs in an environment that has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed: it wants another PyAV than this library")

from lmms_eval import evaluator  # noqa: E402
from lmms_eval.models import list_available_models  # noqa: E402
from lmms_eval.tasks import TaskManager  # noqa: E402

from pave.data.jsonl import read_samples  # noqa: E402
from pave.evaluation.config import EvalSettings  # noqa: E402
from pave.evaluation.lmms import TASKS  # noqa: E402
from pave.evaluation.run import evaluate  # noqa: E402
from pave.model import PaveModel  # noqa: E402
from tests.tiny import patched, write_data  # noqa: E402


def prepared(folder: Path) -> Path:
    """Write a small set as ``pave data prepare`` does, half of whose answers are what the model says."""
    write_data(folder, count=4, videos=2, benchmark="blindspot", missing=[])
    model = patched("llava_onevision")
    model.save_patch("audio", folder / "patch")
    said = evaluate(PaveModel.from_pretrained(folder / "patch"), read_samples(folder), EvalSettings(1, 4)).responses
    lines = []
    for number, line in enumerate((folder / "samples.jsonl").read_text().splitlines()):
        answer = said[number].prediction if number % 2 else "no such answer"
        lines.append(json.dumps({**json.loads(line), "references": [answer]}) + "\n")
    (folder / "samples.jsonl").write_text("".join(lines))
    return folder / "patch"


def test_pave_is_found_through_its_entry_point() -> None:
    assert "pave" in list_available_models()


def test_a_task_of_this_library_with_the_model_of_this_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    patch = prepared(tmp_path / "pave-data" / "blindspot")
    found = evaluator.simple_evaluate(
        model="pave",
        model_args=f"patch={patch},precision=fp32",
        tasks=["pave_blindspot"],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False, model_name="pave"),
        gen_kwargs="max_new_tokens=4",
        batch_size=1,
    )
    (score,) = (value for name, value in found["results"]["pave_blindspot"].items() if name.startswith("exact,"))
    assert score == 50
