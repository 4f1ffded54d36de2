"""The description of one film: solids on a floor, walls, sound events, flashes and cameras, with a JSON round trip.

Lengths are metres, times are seconds on the video's clock. The floor is the plane z = 0; x points to the right of the
main camera and y away from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

Vector = tuple[float, float, float]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 30),
    "green": (40, 165, 50),
    "blue": (35, 70, 220),
    "yellow": (240, 215, 30),
    "purple": (150, 45, 190),
    "cyan": (30, 205, 215),
    "white": (250, 250, 250),
    "black": (22, 22, 24),
}
SHAPES = ("sphere", "cube", "cone", "cylinder", "ring")
SOUND_KINDS = ("bell", "drum", "whistle", "buzzer", "horn", "clap", "chirp", "siren")

# Half of a solid's height as a multiple of its size: what lifts its centre off the floor when it rests there.
HALF_HEIGHT = {"sphere": 1.0, "cube": 0.8, "cone": 0.9, "cylinder": 0.95, "ring": 1.0}


@dataclass(frozen=True)
class Waypoint:
    """Where a solid's centre is at one instant; between waypoints it moves in a straight line."""

    time_sec: float
    position: Vector


@dataclass(frozen=True)
class Solid:
    """One thing: a shape of a colour and size, a path, and the intervals in which it is there."""

    shape: str
    colour: str
    size: float
    path: tuple[Waypoint, ...]
    present_sec: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        """The words that answers use, such as ``"red cube"``."""
        return f"{self.colour} {self.shape}"

    def is_present(self, time_sec: float) -> bool:
        """Whether the solid is there at that instant (an interval holds its start and not its end)."""
        return any(start <= time_sec < end for start, end in self.present_sec)

    def position(self, time_sec: float) -> Vector:
        """Return the centre at that instant; before the first waypoint and after the last it stands still."""
        times = [waypoint.time_sec for waypoint in self.path]
        x, y, z = (
            float(np.interp(time_sec, times, [waypoint.position[axis] for waypoint in self.path])) for axis in range(3)
        )
        return x, y, z


@dataclass(frozen=True)
class Wall:
    """A grey box, given by its centre and its full width (x), depth (y) and height (z)."""

    centre: Vector
    extent: Vector


@dataclass(frozen=True)
class SoundEvent:
    """A sound of one kind that begins at ``onset_sec``; nothing in the picture shows it."""

    kind: str
    onset_sec: float


@dataclass(frozen=True)
class Flash:
    """Coloured light that fills the picture for a moment."""

    colour: str
    onset_sec: float
    duration_sec: float

    def is_on(self, time_sec: float) -> bool:
        """Whether the light is on at that instant."""
        return self.onset_sec <= time_sec < self.onset_sec + self.duration_sec


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without roll; ``field_of_view_deg`` is the vertical angle of the picture."""

    name: str
    position: Vector
    look_at: Vector
    field_of_view_deg: float


@dataclass(frozen=True)
class Scene:
    """Everything that a film shows and sounds; the first camera is the one the film is taken with."""

    layout: str
    duration_sec: float
    cameras: tuple[Camera, ...]
    solids: tuple[Solid, ...] = ()
    walls: tuple[Wall, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    flashes: tuple[Flash, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the scene as plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scene:
        """Read back what ``to_dict`` (or its JSON) holds."""
        return cls(
            layout=values["layout"],
            duration_sec=values["duration_sec"],
            cameras=tuple(
                Camera(v["name"], _vector(v["position"]), _vector(v["look_at"]), v["field_of_view_deg"])
                for v in values["cameras"]
            ),
            solids=tuple(_solid(v) for v in values["solids"]),
            walls=tuple(Wall(_vector(v["centre"]), _vector(v["extent"])) for v in values["walls"]),
            sounds=tuple(SoundEvent(**v) for v in values["sounds"]),
            flashes=tuple(Flash(**v) for v in values["flashes"]),
        )


def rounded(values: tuple[float, ...], digits: int = 3) -> Vector:
    """Return a place with so many digits, as files keep it."""
    x, y, z = (round(float(v), digits) for v in values)
    return x, y, z


def sampled_times(duration_sec: float, count: int = 8) -> np.ndarray:
    """Return the seconds of the frames that a base sees, (T,): the midpoints of ``count`` equal parts."""
    return (np.arange(count) + 0.5) * duration_sec / count


def _vector(values: Any) -> Vector:
    x, y, z = values
    return x, y, z


def _solid(values: dict[str, Any]) -> Solid:
    return Solid(
        shape=values["shape"],
        colour=values["colour"],
        size=values["size"],
        path=tuple(Waypoint(v["time_sec"], _vector(v["position"])) for v in values["path"]),
        present_sec=tuple((start, end) for start, end in values["present_sec"]),
    )
