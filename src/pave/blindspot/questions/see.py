"""Track ``see``: questions that the eight sampled frames answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pave.blindspot.observation import ONE_AT_A_TIME, PLACES, Sighting, is_only_one_of_its_shape, sightings
from pave.blindspot.questions.question import NUMBERS, Question, either, interleave, pick
from pave.blindspot.scene import COLOURS, SHAPES, Scene, sampled_times

EXISTS = ("Was there a {thing}?", "Is there a {thing}?")
WHAT = ("Which was there, the {a} or the {b}?", "Which thing was there, the {a} or the {b}?")
COLOUR = ("What colour was the {shape}?", "Which colour is the {shape}?")
SHAPE = ("What shape was the {colour} thing?", "Which shape is the {colour} thing?")
FIRST = ("What came first?", "Which thing came first?")
LAST = ("What came last?", "Which thing came last?")
ORDER = ("Which came first, the {a} or the {b}?",)
AFTER = ("What came after the {thing}?",)
PLACE = ("Where was the {thing}?", "Where is the {thing}?")
BESIDE = ("What was on the {place}?", "What is on the {place}?")
MOTION = ("Which way did the {thing} move?",)
COUNT = ("How many things were there?",)
FLASH_COLOUR = ("What colour was the {ordinal} flash?",)
FLASH_COUNT = ("How many flashes were there?",)
ORDINALS = ("first", "last")

_STANDING = ("together", "elsewhere", "floating", "walled")


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random."""
    seen = sightings(scene)
    answered = [*_presence(seen, rng), *_looks(seen, rng)]
    if scene.layout in ONE_AT_A_TIME:
        answered += _order(seen, rng)
    if scene.layout in _STANDING:
        answered += _places(seen, rng)
    if scene.layout == "moving":
        answered += _motions(seen, rng)
    if seen:
        answered.append(_question("count", pick(COUNT, rng), NUMBERS[len(seen)]))
    return interleave([*answered, *_flashes(scene, rng)], rng)


def _question(form: str, text: str, answer: str) -> Question:
    return Question(form, text, answer, 1.0)


def _presence(seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    if not seen:
        return
    names = [s.solid.name for s in seen]
    there, absent = pick(names, rng), _absent(names, rng)
    answer, thing = ("yes", there) if rng.random() < 0.5 else ("no", absent)
    yield _question("exists", pick(EXISTS, rng).format(thing=thing), answer)
    yield _question("what", either(pick(WHAT, rng), there, absent, rng), there)


def _absent(names: list[str], rng: np.random.Generator) -> str:
    """Return a thing that was not there; half of the time it has the colour or the shape of one that was."""
    colours, shapes = list(COLOURS), list(SHAPES)
    near_miss = rng.random() < 0.5
    colour, shape = pick(names, rng).split()
    while f"{colour} {shape}" in names:
        if not near_miss or rng.random() < 0.5:
            colour = pick(colours, rng)
        if not near_miss or rng.random() < 0.5:
            shape = pick(shapes, rng)
    return f"{colour} {shape}"


def _mention(sighting: Sighting, seen: list[Sighting], rng: np.random.Generator) -> str:
    """Return the thing's name, or often its shape alone where no other thing has it."""
    alone = is_only_one_of_its_shape(sighting, seen)
    return sighting.solid.shape if alone and rng.random() < 0.6 else sighting.solid.name


def _looks(seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    for s in seen:
        if is_only_one_of_its_shape(s, seen):
            yield _question("colour", pick(COLOUR, rng).format(shape=s.solid.shape), s.solid.colour)
        yield _question("shape", pick(SHAPE, rng).format(colour=s.solid.colour), s.solid.shape)


def _order(seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    names = [s.solid.name for s in seen]
    yield _question("first", pick(FIRST, rng), names[0])
    yield _question("last", pick(LAST, rng), names[-1])
    early, late = sorted(int(k) for k in rng.choice(len(names), 2, replace=False))
    yield _question("order", either(pick(ORDER, rng), names[early], names[late], rng), names[early])
    before = int(rng.integers(len(names) - 1))
    yield _question("after", pick(AFTER, rng).format(thing=_mention(seen[before], seen, rng)), names[before + 1])


def _motions(seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    for s in seen:
        yield _question("motion", pick(MOTION, rng).format(thing=_mention(s, seen, rng)), str(s.heading))


def _places(seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    for s in seen:
        if s.place is not None:
            yield _question("place", pick(PLACE, rng).format(thing=_mention(s, seen, rng)), s.place)
    for place in PLACES:
        there = [s.solid.name for s in seen if place in s.places]
        if len(there) == 1:
            yield _question("beside", pick(BESIDE, rng).format(place=place), there[0])


def _flashes(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    times = sampled_times(scene.duration_sec)
    caught = [flash for flash in scene.flashes if any(flash.is_on(float(t)) for t in times)]
    if not caught:
        return
    for ordinal, flash in zip(ORDINALS, (caught[0], caught[-1]), strict=True):
        yield _question("flash_colour", pick(FLASH_COLOUR, rng).format(ordinal=ordinal), flash.colour)
    yield _question("flash_count", pick(FLASH_COUNT, rng), NUMBERS[len(caught)])
