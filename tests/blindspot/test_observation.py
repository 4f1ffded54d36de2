"""Scenes in words: what is heard in a frame is told before or after what is seen in it."""

from __future__ import annotations

import numpy as np

from pave.blindspot import layouts
from pave.blindspot.observation import describe
from pave.blindspot.scene import SOUND_KINDS, Scene


def test_a_frame_tells_the_same_with_its_sounds_first() -> None:
    scene = layouts.draw("turns", np.random.default_rng(3))
    last, first = ([frame.split(" , ") for frame in _frames(scene, order)] for order in (False, True))
    assert [sorted(frame) for frame in last] == [sorted(frame) for frame in first]
    heard = [(after, before) for after, before in zip(last, first, strict=True) if len(after) > 1]
    assert heard and all(after[-1] in SOUND_KINDS and before[0] == after[-1] for after, before in heard)


def _frames(scene: Scene, sounds_first: bool) -> list[str]:
    return describe(scene, sounds_first=sounds_first).removesuffix(" .").split(" . ")
