"""What can be told from a scene: who is seen where in the sampled frames, who is hidden, and all of it in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pave.blindspot.intersect import box
from pave.blindspot.render import project
from pave.blindspot.scene import Camera, Scene, Solid, Vector, sampled_times

PLACES = ("left", "right")
NEARNESS = ("near", "far")
ONE_AT_A_TIME = ("turns", "lit", "blinking")
"""Layouts in which things take turns in plain view."""
TAKING_TURNS = (*ONE_AT_A_TIME, "hidden_turns", "hidden_in_place")
BIGNESS = ("small", "big")


@dataclass(frozen=True)
class Sighting:
    """One solid in plain view: the sampled frames that show it, and the half of the picture it is in, for each."""

    solid: Solid
    frames: tuple[int, ...]
    places: tuple[str, ...]

    @property
    def place(self) -> str | None:
        """The half that it stays in, or None if it leaves it."""
        return self.places[0] if len(set(self.places)) == 1 else None

    @property
    def heading(self) -> str | None:
        """The side that it moves to, or None if it stands still."""
        first, last = (self.solid.path[k].position[0] for k in (0, -1))
        if first == last:
            return None
        return "right" if last > first else "left"


def is_only_one_of_its_shape(sighting: Sighting, seen: list[Sighting]) -> bool:
    """Whether no other thing that is seen has its shape, so that the shape alone says which is meant."""
    return sum(other.solid.shape == sighting.solid.shape for other in seen) == 1


def sightings(scene: Scene) -> list[Sighting]:
    """Return what the main camera's sampled frames show, in order of first appearance, then from left to right."""
    seen = []
    for solid in scene.solids:
        times = [(k, float(t)) for k, t in enumerate(sampled_times(scene.duration_sec)) if solid.is_present(float(t))]
        shown = [(k, t) for k, t in times if not is_hidden(scene, solid, t)]
        if shown:
            places = tuple(place_of(scene.cameras[0], solid.position(t)) for _, t in shown)
            seen.append(Sighting(solid, tuple(k for k, _ in shown), places))
    return sorted(seen, key=lambda s: (s.frames[0], PLACES.index(s.places[0]), s.solid.name))


def hidden(scene: Scene) -> list[Solid]:
    """Return the solids that the main camera never sees because a wall stands before them, in order of time."""
    concealed = [s for s in scene.solids if is_hidden(scene, s, s.present_sec[0][0])]
    return sorted(concealed, key=lambda s: (s.present_sec[0][0], s.name))


def is_hidden(scene: Scene, solid: Solid, time_sec: float, camera: int = 0) -> bool:
    """Whether walls keep the solid's centre and its outermost points in every direction from that camera."""
    if not scene.walls:
        return False
    eye = np.asarray(scene.cameras[camera].position, np.float32)
    ends = np.concatenate([np.zeros((3, 1)), np.eye(3), -np.eye(3)], axis=1) * solid.size
    rays = (np.asarray(solid.position(time_sec))[:, None] + ends - eye[:, None]).astype(np.float32)
    covered = np.zeros(rays.shape[1], bool)
    for wall in scene.walls:
        entry, _ = box(eye - np.asarray(wall.centre, np.float32), rays, np.asarray(wall.extent, np.float32) / 2)
        covered |= entry < 1
    return bool(covered.all())


def place_of(camera: Camera, point: Vector) -> str:
    """Return the half of a picture that a point falls in."""
    return "left" if project(camera, point)[0] < 0.5 else "right"


def distance(scene: Scene, solid: Solid) -> float:
    """Return the metres from the main camera to a solid's centre at its first waypoint."""
    return float(np.linalg.norm(np.subtract(solid.path[0].position, scene.cameras[0].position)))


def describe(scene: Scene, *, sounds_first: bool = False) -> str:
    """Write every fact out, sampled frame by sampled frame: what is seen and where, hidden, heard, and flashes.

    Where things stand or move all the while, a frame that is as the one before is called ``same``.

    Args:
        scene: What to tell.
        sounds_first: Whether what is heard in a frame is told before what is seen in it, instead of after.
    """
    seen, concealed = sightings(scene), hidden(scene)
    times = sampled_times(scene.duration_sec)
    ranks = _ranks(scene) if scene.layout == "floating" else {}
    parts = []
    for index, time in enumerate(times):
        heard = [event.kind for event in scene.sounds if _frame_of(event.onset_sec, times) == index]
        facts = _seen_at(seen, index, ranks)
        facts += [f"hidden {solid.name}" for solid in concealed if solid.is_present(float(time))]
        facts = heard + facts if sounds_first else facts + heard
        facts += [f"{flash.colour} flash" for flash in scene.flashes if _frame_of(flash.onset_sec, times) == index]
        parts.append(_sentence(facts))
    return " ".join(parts if scene.layout in TAKING_TURNS else _without_repeats(parts))


def describe_seen(scene: Scene) -> str:
    """Write out what the sampled frames show, things, places and flashes, with ``same`` for a frame without news."""
    return " ".join(_without_repeats(_frames_in_words(scene)))


def _frames_in_words(scene: Scene) -> list[str]:
    seen = sightings(scene)
    return [
        _sentence(
            _seen_at(seen, k, {}) + [f"{flash.colour} flash" for flash in scene.flashes if flash.is_on(float(t))]
        )
        for k, t in enumerate(sampled_times(scene.duration_sec))
    ]


def _without_repeats(parts: list[str]) -> list[str]:
    return ["same ." if k and parts[k - 1] == part else part for k, part in enumerate(parts)]


def _sentence(facts: list[str]) -> str:
    return f"{' , '.join(facts) or 'nothing'} ."


def _seen_at(seen: list[Sighting], index: int, ranks: dict[str, str]) -> list[str]:
    return [
        f"{s.solid.name} {s.places[s.frames.index(index)]}{ranks.get(s.solid.name, '')}"
        for s in seen
        if index in s.frames
    ]


def _ranks(scene: Scene) -> dict[str, str]:
    ordered = sorted(scene.solids, key=lambda solid: distance(scene, solid))
    ranks = zip(ordered, NEARNESS, BIGNESS, strict=True)
    return {solid.name: f" {nearness} {bigness}" for solid, nearness, bigness in ranks}


def _frame_of(time_sec: float, times: np.ndarray) -> int:
    return int(np.abs(times - time_sec).argmin())
