"""Track ``blink``: flashes that fall between the sampled frames, counted, named and put in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pave.blindspot.layouts import FLASH_COLOURS
from pave.blindspot.questions.question import NUMBERS, Question, either, interleave, pick
from pave.blindspot.questions.see import FLASH_COLOUR, FLASH_COUNT, ORDINALS
from pave.blindspot.scene import Scene

FLASH_ORDER = ("Which flash came first, the {a} one or the {b} one?",)


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Return every question of this track that the scene permits, the forms interleaved at random."""
    return interleave(_flashes(scene, rng), rng) if scene.layout == "blinking" else []


def _flashes(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    colours = [flash.colour for flash in scene.flashes]
    yield Question("flash_count", pick(FLASH_COUNT, rng), NUMBERS[len(colours)], 1 / 4)
    for ordinal, colour in zip(ORDINALS, (colours[0], colours[-1]), strict=True):
        text = pick(FLASH_COLOUR, rng).format(ordinal=ordinal)
        yield Question("flash_colour", text, colour, 1 / len(FLASH_COLOURS))
    if len(colours) > 1:
        early, late = sorted(int(k) for k in rng.choice(len(colours), 2, replace=False))
        text = either(pick(FLASH_ORDER, rng), colours[early], colours[late], rng)
        yield Question("flash_order", text, colours[early], 0.5)
