"""Every word of the world, from which the tiny base's tokenizer is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pave.blindspot.observation import BIGNESS, NEARNESS, PLACES
from pave.blindspot.questions import blink, both, depth, hear, see, views
from pave.blindspot.questions.question import NUMBERS
from pave.blindspot.scene import COLOURS, SHAPES, SOUND_KINDS

PAD, UNKNOWN, TURN_START, TURN_END, IMAGE, VIDEO = "<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"
SPECIAL = (PAD, UNKNOWN, TURN_START, TURN_END, IMAGE, VIDEO)

TELL = "Tell what you see."
_ROLES = ("system", "user", "assistant")
_FACTS = ("nothing", "same", "hidden", "flash", *(str(number) for number in range(1, 9)), ":", ",", ".", "?", "!", "'")
_COMMON = "a an and are at be by can do does during first for from had has have hear heard i in it its last me no not "
_COMMON += (
    "of on or please second see seen sound sounds tell that there they third this to video was were with yes you "
)
_COMMON += "big bigger smaller nearer farther up down before next while when who whose"


def words(text: str) -> list[str]:
    """Split a text as the tokenizer does: lower case, words and runs of punctuation apart."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def vocabulary(more: Sequence[str] = ()) -> dict[str, int]:
    """Return every token with its number: the special ones, the words, and then ``more`` in their order."""
    known = {word for text in _texts() for word in words(text)}
    return {token: index for index, token in enumerate((*SPECIAL, *sorted(known), *more))}


def _texts() -> Iterator[str]:
    yield from (
        *COLOURS,
        *SHAPES,
        *SOUND_KINDS,
        *NUMBERS,
        *PLACES,
        *NEARNESS,
        *BIGNESS,
        *_ROLES,
        *_FACTS,
        _COMMON,
        TELL,
    )
    for module in (see, hear, depth, views, blink, both):
        for value in vars(module).values():
            if isinstance(value, tuple) and all(isinstance(text, str) for text in value):
                yield from (re.sub(r"[{}]", " ", text) for text in value)
