"""The tracks: which layouts a track's scenes are drawn from, and who asks about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pave.blindspot import layouts
from pave.blindspot.questions import blink, both, depth, hear, see, views
from pave.blindspot.questions.question import Question
from pave.blindspot.scene import Scene


@dataclass(frozen=True)
class Track:
    """A track: its layouts with their shares, its questions, and the side channels that answer them."""

    name: str
    layouts: dict[str, float]
    ask: Callable[[Scene, np.random.Generator], list[Question]]
    channels: tuple[str, ...]

    def draw(self, rng: np.random.Generator) -> Scene:
        """Return a random scene of this track."""
        names = list(self.layouts)
        return layouts.draw(names[int(rng.choice(len(names), p=list(self.layouts.values())))], rng)


_SEE_LAYOUTS = {
    "turns": 0.4,
    "together": 0.15,
    "elsewhere": 0.05,
    "moving": 0.15,
    "walled": 0.1,
    "floating": 0.05,
    "lit": 0.1,
}

TRACKS: dict[str, Track] = {
    track.name: track
    for track in (
        Track("see", _SEE_LAYOUTS, see.ask, ()),
        Track("hear", {"turns": 1.0}, hear.ask, ("audio",)),
        Track("depth", {"floating_large": 1.0}, depth.ask, ("depth",)),
        Track("views", {"walled_in_rows": 1.0}, views.ask, ("views",)),
        Track("blink", {"blinking_apart": 1.0}, blink.ask, ("frames",)),
        Track("both", {"hidden_in_place": 1.0}, both.ask, ("audio", "views")),
    )
}
