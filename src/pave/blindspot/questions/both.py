"""Track ``both``: which of the things that a wall hides made a sound; it takes another camera and the sound."""

from __future__ import annotations

import numpy as np

from pave.blindspot.observation import hidden
from pave.blindspot.questions.question import Question, either, interleave, pick
from pave.blindspot.scene import COLOURS, SHAPES, SOUND_KINDS, Scene

HIDDEN_MAKER = ("Which thing behind the wall made the {sound}?",)
HIDDEN_PAIR = ("Which made the {sound}, the {{a}} or the {{b}}?",)
HIDDEN_SOUND = ("Which sound did the {thing} make?",)


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random."""
    if scene.layout != "hidden_turns":
        return []
    questions = []
    things = hidden(scene)
    for thing in things:
        kind = next(event.kind for event in scene.sounds if thing.is_present(event.onset_sec))
        other = pick([t.name for t in things if t is not thing], rng)
        pair = either(pick(HIDDEN_PAIR, rng).format(sound=kind), thing.name, other, rng)
        sounded = pick(HIDDEN_SOUND, rng).format(thing=thing.name)
        maker = pick(HIDDEN_MAKER, rng).format(sound=kind)
        questions += [
            Question("hidden_maker", maker, thing.name, 1 / (len(COLOURS) * len(SHAPES))),
            Question("hidden_pair", pair, thing.name, 0.5),
            Question("hidden_sound", sounded, kind, 1 / len(SOUND_KINDS)),
        ]
    return interleave(questions, rng)
