"""Lessons: what a sequence holds, which tokens are learned, and that worker processes change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pave.blindspot.lessons import PREFIX, Lesson, VideoShape, make_lessons
from pave.blindspot.vocabulary import TURN_END, VIDEO, vocabulary

PLACEHOLDERS = 4 * 8 + 1
FILM = ("<|im_start|>", "user", *[VIDEO] * PLACEHOLDERS)
SHAPE = VideoShape(frames=8, size=32, tokens=tuple(vocabulary()[word] for word in FILM))
WORDS = {number: word for word, number in vocabulary().items()}


def _text(lesson: Lesson, chosen: np.ndarray) -> str:
    return " ".join(WORDS[int(token)] for token in lesson.tokens[chosen])


@pytest.fixture(scope="module")
def lessons() -> dict[str, list[Lesson]]:
    return {kind: make_lessons(kind, 12, 5, SHAPE, workers=1) for kind in ("film", "text")}


def test_what_is_seen_has_frames_and_their_placeholders(lessons: dict[str, list[Lesson]]) -> None:
    for lesson in lessons["film"]:
        assert lesson.frames is not None
        assert lesson.frames.shape == (8, 32, 32, 3)
        placeholders = lesson.tokens == vocabulary()[VIDEO]
        assert placeholders.sum() == PLACEHOLDERS
        assert (lesson.block[placeholders] == PREFIX).all()


def test_what_is_told_has_no_frames(lessons: dict[str, list[Lesson]]) -> None:
    for lesson in lessons["text"]:
        assert lesson.frames is None
        assert vocabulary()[VIDEO] not in lesson.tokens


@pytest.mark.parametrize("kind", ["film", "text"])
def test_each_question_goes_on_from_the_prefix_and_only_answers_are_learned(
    lessons: dict[str, list[Lesson]], kind: str
) -> None:
    for lesson in lessons[kind]:
        prefix = lesson.block == PREFIX
        length = int(prefix.sum())
        assert not lesson.learned[prefix].any()
        np.testing.assert_array_equal(lesson.positions[prefix], np.arange(length))
        assert lesson.block.max() == len(lesson.forms)
        for number in range(1, len(lesson.forms) + 1):
            own = lesson.block == number
            np.testing.assert_array_equal(lesson.positions[own], length + np.arange(own.sum()))
            asked, answered = _text(lesson, own & ~lesson.learned), _text(lesson, own & lesson.learned)
            if lesson.forms[number - 1].startswith("fact_"):
                assert len(asked.split()) in (2, 3)
                assert TURN_END not in answered
            else:
                assert asked.endswith("<|im_end|> <|im_start|> assistant")
                assert answered.endswith(TURN_END)
                assert len(answered.split()) >= 2


def test_a_told_scene_holds_the_answer_to_every_sound_it_is_asked_about(lessons: dict[str, list[Lesson]]) -> None:
    sounded = 0
    for lesson in lessons["text"]:
        told = _text(lesson, lesson.block == PREFIX).split()
        for number, form in enumerate(lesson.forms, start=1):
            if form in ("sounded", "first_sound"):
                assert _text(lesson, (lesson.block == number) & lesson.learned).split()[0] in told
                sounded += 1
    assert sounded > 3


@pytest.mark.dist
def test_the_number_of_workers_changes_nothing() -> None:
    first, second = (make_lessons("film", 6, 9, SHAPE, workers) for workers in (1, 2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_array_equal(a.frames, b.frames)
        assert a.forms == b.forms
