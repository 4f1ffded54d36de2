"""Facts in a few words, ``colour cube red``: the last word said is looked up, and what is learned follows at once.

A question keeps the word that matters far from its answer, and takes two steps to answer: look up, then carry over. A
fact takes the first of them alone, and is short enough to say all that there is of a scene.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pave.blindspot.observation import ONE_AT_A_TIME, Sighting, is_only_one_of_its_shape, sightings
from pave.blindspot.questions.hear import sounds_during
from pave.blindspot.questions.question import Question
from pave.blindspot.scene import Scene


def seen_facts(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return what can be said of the things that the sampled frames show."""
    seen = sightings(scene)
    facts = [fact for sighting in seen for fact in _looks(sighting, seen, rng)]
    if scene.layout in ONE_AT_A_TIME:
        facts += [
            _fact("after", _mention(one, seen, rng), following.solid.name)
            for one, following in zip(seen, seen[1:], strict=False)
        ]
    return facts


def heard_facts(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return what can be said of the sounds, where things take turns."""
    if scene.layout not in ONE_AT_A_TIME:
        return []
    return [*_sounds(scene, sightings(scene), rng), *_orders(scene, rng)]


def _looks(sighting: Sighting, seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    solid = sighting.solid
    if is_only_one_of_its_shape(sighting, seen):
        yield _fact("colour", solid.shape, solid.colour)
    yield _fact("shape", solid.colour, solid.shape)
    if sighting.heading is not None:
        yield _fact("move", _mention(sighting, seen, rng), sighting.heading)
    elif sighting.place is not None:
        yield _fact("where", _mention(sighting, seen, rng), sighting.place)


def _sounds(scene: Scene, seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    for sighting in seen:
        events = sounds_during(scene, sighting)
        if len(events) == 1:
            yield _fact("sound", _mention(sighting, seen, rng), events[0].kind)
        for event in events:
            yield _fact("thing", event.kind, sighting.solid.name)


def _orders(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    kinds = [event.kind for event in sorted(scene.sounds, key=lambda event: event.onset_sec)]
    for earlier, later in zip(kinds, kinds[1:], strict=False):
        if kinds.count(earlier) == kinds.count(later) == 1:
            yield _fact("first", " ".join(rng.permutation([earlier, later])), earlier)


def _fact(what: str, of: str, value: str) -> Question:
    return Question(f"fact_{what}", f"{what} {of}", value, 1.0)


def _mention(sighting: Sighting, seen: list[Sighting], rng: np.random.Generator) -> str:
    """Return the thing's colour, its whole name, or its shape where no other thing has it."""
    solid = sighting.solid
    ways = [solid.colour, solid.name] + [solid.shape] * is_only_one_of_its_shape(sighting, seen)
    return ways[int(rng.integers(len(ways)))]
