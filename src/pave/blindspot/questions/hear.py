"""Track ``hear``: questions that only the sound and its timing answer, about things that take turns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pave.blindspot.observation import ONE_AT_A_TIME, Sighting, sightings
from pave.blindspot.questions.question import Question, either, interleave, pick
from pave.blindspot.scene import SOUND_KINDS, Scene, SoundEvent

MADE = ("Which thing made the {sound}?", "What was there when the {sound} sounded?")
MAKER_COLOUR = ("What colour was the thing that made the {sound}?",)
SOUNDED = ("What sounded while the {thing} was there?", "Which sound did the {thing} make?")
FIRST = ("Which came first, the {a} or the {b}?", "Which sounded first, the {a} or the {b}?")


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random."""
    if scene.layout not in ONE_AT_A_TIME:
        return []
    seen = sightings(scene)
    return interleave([*_makers(scene, seen, rng), *_kinds(scene, seen, rng), *_order(scene, rng)], rng)


def sounds_during(scene: Scene, sighting: Sighting) -> list[SoundEvent]:
    """Return the sounds that begin while the thing is there."""
    return [event for event in scene.sounds if sighting.solid.is_present(event.onset_sec)]


def _makers(scene: Scene, seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    """Sounds fall on turns without regard to what is shown, so each of the things is as likely."""
    for sighting in seen:
        for event in sounds_during(scene, sighting):
            text = pick(MADE, rng).format(sound=event.kind)
            yield Question("made", text, sighting.solid.name, 1 / len(seen))
            text = pick(MAKER_COLOUR, rng).format(sound=event.kind)
            yield Question("maker_colour", text, sighting.solid.colour, 1 / len(seen))


def _kinds(scene: Scene, seen: list[Sighting], rng: np.random.Generator) -> Iterator[Question]:
    for sighting in seen:
        events = sounds_during(scene, sighting)
        if len(events) == 1:
            text = pick(SOUNDED, rng).format(thing=sighting.solid.name)
            yield Question("sounded", text, events[0].kind, 1 / len(SOUND_KINDS))


def _order(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    early, late = sorted(int(k) for k in rng.choice(len(scene.sounds), 2, replace=False))
    first, second = scene.sounds[early].kind, scene.sounds[late].kind
    yield Question("first_sound", either(pick(FIRST, rng), first, second, rng), first, 0.5)
