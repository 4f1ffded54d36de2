"""Track ``depth``: which is nearer or really bigger, where the picture confounds size and distance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from pave.blindspot.observation import distance
from pave.blindspot.questions.question import Question, either, interleave, pick
from pave.blindspot.scene import Scene

NEARER = ("Which is nearer, the {a} or the {b}?", "Which thing is nearer, the {a} or the {b}?")
BIGGER = ("Which is really bigger, the {a} or the {b}?", "Which thing is really bigger, the {a} or the {b}?")
IN_FRONT = ("Is the {a} in front of the {b}?",)


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random.

    All things have one apparent size and their distances are exchangeable, so the picture leaves each at a half.
    """
    return interleave(_pairs(scene, rng), rng) if scene.layout == "floating" else []


def _pairs(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    for pair in combinations(scene.solids, 2):
        near, far = sorted(pair, key=lambda solid: distance(scene, solid))
        yield Question("nearer", either(pick(NEARER, rng), near.name, far.name, rng), near.name, 0.5)
        big, small = sorted(pair, key=lambda solid: -solid.size)
        yield Question("bigger", either(pick(BIGGER, rng), big.name, small.name, rng), big.name, 0.5)
        a, b = (near, far) if rng.random() < 0.5 else (far, near)
        yield Question("in_front", pick(IN_FRONT, rng).format(a=a.name, b=b.name), "yes" if a is near else "no", 0.5)
