"""Track ``both``: which of the things that a wall hides made a sound; it takes another camera and the sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pave.blindspot.observation import hidden
from pave.blindspot.questions.hear import MADE, MAKER_COLOUR
from pave.blindspot.questions.question import Question, either, interleave, pick
from pave.blindspot.scene import Scene, Solid

HIDDEN_MAKER = ("Which thing behind the wall made the {sound}?",)
HIDDEN_PAIR = ("Which made the {sound}, the {{a}} or the {{b}}?",)
HIDDEN_SOUND = ("Which sound did the {thing} make?",)


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random.

    The other cameras show all the things that may have made a sound, and each is as likely; the sound does not tell
    how its maker looks. ``blind`` is the chance with the better one of the two channels.
    """
    forms = {"hidden_turns": _taught, "hidden_in_place": _makers}
    if scene.layout not in forms:
        return []
    return interleave(forms[scene.layout](scene, rng), rng)


def _makers(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    """Ask in the words in which the tracks of the single channels ask."""
    things = hidden(scene)
    for thing in things:
        kind = _sound_of(scene, thing)
        for form, texts in (("made", MADE), ("hidden_maker", HIDDEN_MAKER)):
            yield Question(form, pick(texts, rng).format(sound=kind), thing.name, 1 / len(things))
        text = pick(MAKER_COLOUR, rng).format(sound=kind)
        yield Question("maker_colour", text, thing.colour, 1 / len(things))


def _taught(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    """Ask as in the lessons of the tiny base, which are the same as long as this is."""
    things = hidden(scene)
    for thing in things:
        kind = _sound_of(scene, thing)
        other = pick([t.name for t in things if t is not thing], rng)
        pair = either(pick(HIDDEN_PAIR, rng).format(sound=kind), thing.name, other, rng)
        sounded = pick(HIDDEN_SOUND, rng).format(thing=thing.name)
        maker = pick(HIDDEN_MAKER, rng).format(sound=kind)
        yield Question("hidden_maker", maker, thing.name, 1 / len(things))
        yield Question("hidden_pair", pair, thing.name, 0.5)
        yield Question("hidden_sound", sounded, kind, 1 / len(things))


def _sound_of(scene: Scene, thing: Solid) -> str:
    return next(event.kind for event in scene.sounds if thing.is_present(event.onset_sec))
