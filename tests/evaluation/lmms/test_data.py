"""Prepared samples as documents of lmms-eval, and its task files against the conventions that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.lmms import TASKS
from pave.evaluation.lmms.data import aggregate, process, side_of, to_messages, to_target, to_text, to_visual

DOCUMENT: dict[str, Any] = {
    "id": "q1",
    "benchmark": "blindspot",
    "video": "clips/a.mp4",
    "side": {"audio": "clips/a.mp4", "depth": None},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "what made the sound ?"},
        {"role": "assistant", "content": "red cube"},
    ],
    "references": ["red cube", "a red cube"],
    "missing": [],
}


class Loader(yaml.SafeLoader):
    """Reads lmms-eval's tag for functions as plain text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def test_media_lie_in_the_benchmarks_folder() -> None:
    assert to_visual(DOCUMENT) == ["pave-data/blindspot/clips/a.mp4"]
    assert side_of(DOCUMENT) == {"audio": Path("pave-data/blindspot/clips/a.mp4"), "depth": None}
    assert side_of({"question": "of a foreign task"}) is None
    with pytest.raises(InputError, match="q1: clips/a.mp4 lacks"):
        to_visual({**DOCUMENT, "missing": ["clips/a.mp4"]})


def test_the_answer_is_not_in_the_question() -> None:
    assert to_text(DOCUMENT) == "Be brief.\nwhat made the sound ?"
    assert [message["role"] for message in to_messages(DOCUMENT)] == ["system", "user"]
    assert [part["type"] for part in to_messages(DOCUMENT)[1]["content"]] == ["video", "text"]
    assert to_target(DOCUMENT) == "red cube"


def test_scores_are_those_of_the_convention() -> None:
    right, wrong = process(DOCUMENT, ["A red cube."]), process({**DOCUMENT, "id": "q2"}, ["blue ring"])
    assert set(right) == set(conventions.names("blindspot"))
    assert aggregate([right["exact"], wrong["exact"]]) == 50


@pytest.mark.parametrize("path", sorted(TASKS.glob("pave_*.yaml")), ids=lambda path: path.stem)
def test_task_files_name_every_convention_of_their_benchmark(path: Path) -> None:
    task = yaml.load(path.read_text(encoding="utf-8"), Loader)
    benchmark = task["dataset_path"].removeprefix("pave-data/")
    assert task["task"] == path.stem == f"pave_{benchmark.replace('-', '_')}"
    assert [metric["metric"] for metric in task["metric_list"]] == list(conventions.names(benchmark))
