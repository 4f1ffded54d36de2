"""What the tiny base is trained on: scenes as it would see them, or written out in words, with questions.

A lesson is one token sequence: a prefix (the video's placeholders, or the scene in words), and several questions and
facts after it. A question sees the prefix and itself, never another question: its positions go on from the prefix, and
the attention mask (``block``) keeps it apart. Several questions of one scene thus cost one reading of the scene, each
is learned as it will be asked, and those that the prefix can't answer don't leak their answers to each other.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from pave.blindspot import layouts
from pave.blindspot.facts import heard_facts, seen_facts
from pave.blindspot.glimpse import glimpses
from pave.blindspot.observation import describe, describe_seen
from pave.blindspot.questions.question import Question
from pave.blindspot.scene import Scene, sampled_times
from pave.blindspot.tracks import TRACKS
from pave.blindspot.vocabulary import TELL, TURN_END, TURN_START, vocabulary, words

PREFIX = 0
_SHARES = {
    "turns": 0.3,
    "together": 0.13,
    "elsewhere": 0.07,
    "moving": 0.15,
    "walled": 0.1,
    "floating": 0.07,
    "lit": 0.12,
    "blinking": 0.03,
    "hidden_turns": 0.03,
}


@dataclass(frozen=True)
class VideoShape:
    """How a base sees a film.

    Attributes:
        frames: How many of them.
        size: Pixels of a side; they are square.
        tokens: The numbers of all tokens of a user's turn up to the question.
    """

    frames: int
    size: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Lesson:
    """One training sequence of L tokens.

    Attributes:
        tokens: (L,) token numbers.
        block: (L,) 0 for the prefix, 1, 2, ... for the questions and facts.
        positions: (L,) positions for the language model.
        learned: (L,) whether the token is part of an answer.
        forms: The forms of questions and facts, in order.
        frames: (T, size, size, 3) uint8, or None where the scene is told in words.
    """

    tokens: np.ndarray
    block: np.ndarray
    positions: np.ndarray
    learned: np.ndarray
    forms: tuple[str, ...]
    frames: np.ndarray | None


def make_lessons(kind: str, count: int, seed: int, shape: VideoShape, workers: int) -> list[Lesson]:
    """Return ``count`` lessons of a kind, each from a seed sequence of its own whatever the number of workers.

    Args:
        kind: ``film`` (all frames, with questions of every track, those of other
            channels with answers that the frames cannot give) or ``text`` (every fact in words, and questions).
        count: How many.
        seed: Where their random streams start.
        shape: The frames that the base sees.
        workers: Processes to draw them with.
    """
    size = 250
    jobs = [(kind, range(start, min(start + size, count)), seed, shape) for start in range(0, count, size)]
    if workers == 1:
        return [lesson for job in jobs for lesson in _make_some(*job)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [lesson for part in pool.map(_make_some, *zip(*jobs, strict=True)) for lesson in part]


def _make_some(kind: str, indices: range, seed: int, shape: VideoShape) -> list[Lesson]:
    tokens = vocabulary()
    return [
        _KINDS[kind](np.random.default_rng([seed, list(_KINDS).index(kind), index]), tokens, shape)
        for index in indices
    ]


def _scene(rng: np.random.Generator) -> Scene:
    return layouts.draw(str(rng.choice(list(_SHARES), p=list(_SHARES.values()))), rng)


def _film(rng: np.random.Generator, tokens: dict[str, int], shape: VideoShape) -> Lesson:
    scene = _scene(rng)
    frames = glimpses(scene, sampled_times(scene.duration_sec, shape.frames), shape.size, rng)
    told = Question("tell", TELL, describe_seen(scene), 1.0)
    questions = [*TRACKS["see"].ask(scene, rng)[:9], *_about_channels(scene, rng, 1), told]
    return _assemble(shape.tokens, questions, seen_facts(scene, rng), tokens, frames)


def _text(rng: np.random.Generator, tokens: dict[str, int], shape: VideoShape) -> Lesson:
    scene = _scene(rng)
    questions = [*TRACKS["see"].ask(scene, rng)[:4], *_about_channels(scene, rng, 4)]
    facts = [*seen_facts(scene, rng), *heard_facts(scene, rng)]
    # A token knows only what stands before it: told in both orders, thing and sound are each looked up by the other.
    told = describe(scene, sounds_first=bool(rng.random() < 0.5))
    prefix = [tokens[word] for word in (TURN_START, "user", *words(told))]
    return _assemble(prefix, questions, facts, tokens, None)


_KINDS: dict[str, Callable[[np.random.Generator, dict[str, int], VideoShape], Lesson]] = {
    "film": _film,
    "text": _text,
}


def _about_channels(scene: Scene, rng: np.random.Generator, most: int) -> list[Question]:
    """Return up to ``most`` questions of each track that is about a side channel."""
    return [q for track in TRACKS.values() if track.channels for q in track.ask(scene, rng)[:most]]


def _assemble(
    prefix: Sequence[int],
    questions: Sequence[Question],
    facts: Sequence[Question],
    tokens: dict[str, int],
    frames: np.ndarray | None,
) -> Lesson:
    turns = [
        ([*words(question.text), TURN_END, TURN_START, "assistant"], [*words(question.answer), TURN_END])
        for question in questions
    ]
    turns += [(words(fact.text), words(fact.answer)) for fact in facts]
    text = list(prefix)
    block = [PREFIX] * len(text)
    learned = [False] * len(text)
    positions = list(range(len(text)))
    for number, (asked, answered) in enumerate(turns, start=1):
        length = len(asked) + len(answered)
        text += [tokens[word] for word in asked + answered]
        block += [number] * length
        learned += [False] * len(asked) + [True] * len(answered)
        positions += range(len(prefix), len(prefix) + length)
    return Lesson(
        np.array(text, np.int16),
        np.array(block, np.int16),
        np.array(positions, np.int16),
        np.array(learned),
        tuple(turn.form for turn in (*questions, *facts)),
        frames,
    )
