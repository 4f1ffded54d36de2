"""Requests of lmms-eval become samples; what a base of one video cannot be asked is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pave.errors import InputError
from pave.evaluation.lmms.requests import cut, sample_of


def turn(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


VIDEO = {"type": "video", "url": "clips/a.mp4"}
QUESTION = {"type": "text", "text": "what made the sound ?"}


def test_one_video_and_its_question() -> None:
    system = turn({"type": "text", "text": "Be brief."}, role="system")
    sample = sample_of("task test 3", [system, turn(VIDEO, QUESTION)], None)
    assert sample.video == Path("clips/a.mp4")
    assert sample.side == {"audio": Path("clips/a.mp4"), "frames": Path("clips/a.mp4")}
    assert sample.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "what made the sound ?"},
    ]
    assert sample_of("task", [turn(VIDEO, QUESTION)], {"depth": Path("d")}).side == {"depth": Path("d")}


def test_text_alone() -> None:
    sample = sample_of("task", [{"role": "user", "content": "yes or no ?"}], None)
    assert (sample.video, sample.side, sample.question) == (None, {}, "yes or no ?")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([VIDEO, VIDEO, QUESTION], "holds 2 videos"),
        ([{"type": "image", "url": "a.png"}, QUESTION], "a part of type 'image'"),
        ([{"type": "video", "url": {"path": "a.mp4", "video_start": 1}}, QUESTION], "given as dict"),
    ],
)
def test_what_cannot_be_asked_is_named(parts: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=f"^task test 3: .*{message}"):
        sample_of("task test 3", [turn(*parts)], None)


def test_answers_end_where_the_task_says() -> None:
    assert cut("red cube\n\nQuestion: next", ["\n\n"]) == "red cube"
    assert cut(" red cube ", []) == "red cube"
