"""Track ``views``: what a wall hides from the main camera and another camera shows."""

from __future__ import annotations

import numpy as np

from pave.blindspot.observation import hidden
from pave.blindspot.questions.question import NUMBERS, Question, interleave, pick
from pave.blindspot.scene import COLOURS, SHAPES, Scene

BEHIND = ("What is behind the wall?", "Which thing is behind the wall?")
HIDDEN_COLOUR = ("What colour is the thing behind the wall?",)
HIDDEN_COUNT = ("How many things are behind the wall?",)


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random.

    No two things of a scene share a colour, so what is in plain view rules its own colours out.
    """
    if scene.layout != "walled":
        return []
    concealed = hidden(scene)
    colours_left = len(COLOURS) - (len(scene.solids) - len(concealed))
    questions = [Question("hidden_count", pick(HIDDEN_COUNT, rng), NUMBERS[len(concealed)], 1 / 3)]
    if len(concealed) == 1:
        thing = concealed[0]
        questions += [
            Question("behind", pick(BEHIND, rng), thing.name, 1 / (colours_left * len(SHAPES))),
            Question("hidden_colour", pick(HIDDEN_COLOUR, rng), thing.colour, 1 / colours_left),
        ]
    return interleave(questions, rng)
