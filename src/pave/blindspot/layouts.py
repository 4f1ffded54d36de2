"""How scenes are drawn at random, one function a layout; every layout is balanced by symmetry.

What the main camera shows, what sounds, what is hidden and what flashes are drawn independently of each other, so
that the picture tells nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from pave.blindspot.scene import (
    COLOURS,
    HALF_HEIGHT,
    SHAPES,
    SOUND_KINDS,
    Camera,
    Flash,
    Scene,
    Solid,
    SoundEvent,
    Wall,
    Waypoint,
    rounded,
)
from pave.blindspot.viewpoints import EYE, main_camera, other_cameras

DURATION_SEC = 8
SLOT_X = {"left": -1.15, "right": 1.15}
FLASH_COLOURS = tuple(colour for colour in COLOURS if colour != "black")
FLASH_FRAMES_PER_SEC = 8
_FRAME_SEC = 1 / FLASH_FRAMES_PER_SEC
_BESIDE_SAMPLED_SEC = (0.125, 0.25, 0.625, 0.75)
_ALWAYS = ((0.0, float(DURATION_SEC)),)


def draw(layout: str, rng: np.random.Generator) -> Scene:
    """Return a random scene of that layout, one of :data:`LAYOUTS` or :data:`CHANNEL_LAYOUTS`."""
    return {**LAYOUTS, **CHANNEL_LAYOUTS}[layout](rng)


def turns(rng: np.random.Generator) -> Scene:
    """Two to four things take turns, one at a time; two or more of the turns have a sound, some of them two."""
    count = int(rng.integers(2, 5))
    edges = _turn_edges(count, rng)
    solids = []
    for (colour, shape), start, end in zip(_things(count, rng), edges[:-1], edges[1:], strict=True):
        size = float(rng.uniform(0.8, 1.05))
        solids.append(_resting(shape, colour, size, _slot(rng), rng.uniform(-0.5, 0.6), ((start, end),)))
    return _scene("turns", rng, solids=solids, sounds=_sounds_by_turn(edges, rng))


def together(rng: np.random.Generator) -> Scene:
    """One or two things stand, side by side."""
    slots = _some_slots(int(rng.integers(1, 3)), rng)
    return _scene("together", rng, solids=_row(slots, rng), sounds=_stray_sounds(rng))


def elsewhere(rng: np.random.Generator) -> Scene:
    """One or two things side by side for a camera that looks from the left, right, behind or above."""
    others = other_cameras(rng)
    camera = others[int(rng.integers(len(others)))]
    slots = _some_slots(int(rng.integers(1, 3)), rng)
    across_depth = camera.name in ("from left", "from right")
    solids = []
    for slot, (colour, shape) in zip(slots, _things(len(slots), rng), strict=True):
        along, off = 0.75 * SLOT_X[slot] + rng.uniform(-0.1, 0.1), rng.uniform(-0.3, 0.3)
        x, y = (off, along + 0.3) if across_depth else (along, off)
        solids.append(_resting(shape, colour, rng.uniform(0.55, 0.7), x, y, _ALWAYS))
    return _scene("elsewhere", rng, solids=solids, sounds=_stray_sounds(rng), cameras=(camera,))


def moving(rng: np.random.Generator) -> Scene:
    """One or two things cross the floor in lanes of their own; if they go the same way, one goes ahead."""
    lanes = rng.permutation([-1.0, 0.9])[: int(rng.integers(1, 3))]
    headings = rng.choice([-1, 1], len(lanes))
    abreast = len(lanes) == 2 and headings[0] == headings[1]
    leads = (0.45, -0.45) if abreast else (0.0, 0.0)
    solids = []
    for (colour, shape), lane, heading, lead in zip(_things(len(lanes), rng), lanes, headings, leads, strict=False):
        size = float(rng.uniform(0.6, 0.75))
        reach = (rng.uniform(0.8, 1.0) if abreast else rng.uniform(1.0, 1.4)) * np.array([-1, 1]) * heading + lead
        path = tuple(
            Waypoint(time, rounded((x, lane, HALF_HEIGHT[shape] * size)))
            for time, x in zip((0.0, float(DURATION_SEC)), reach, strict=True)
        )
        solids.append(Solid(shape, colour, round(size, 3), path, _ALWAYS))
    return _scene("moving", rng, solids=solids, sounds=_stray_sounds(rng))


def walled(rng: np.random.Generator, rows: Sequence[float] = (0.0, 0.95, 1.9), crowded_size: float = 0.42) -> Scene:
    """A wall with one to three things behind it, and none or one in plain view beside it.

    Args:
        rng: Where the scene is drawn from.
        rows: y of the first, second and third thing behind the wall.
        crowded_size: Size of each of them where there is more than one.
    """
    wall_slot, *free = _some_slots(len(SLOT_X), rng)
    visible = int(rng.integers(0, 2))
    hidden = int(rng.integers(1, 4))
    things = _things(visible + hidden, rng)
    wall = _wall(wall_slot)
    shown = _in_front(free[:visible], things[:visible], rng)
    concealed = _behind(wall, things[visible:], [_ALWAYS] * hidden, rows, crowded_size)
    return _scene("walled", rng, solids=shown + concealed, walls=[wall], sounds=_stray_sounds(rng))


def floating(rng: np.random.Generator, apparent_size: Sequence[float] = (0.6, 0.8), sideways: float = 0.15) -> Scene:
    """Two things hang in the air, their size and distance confounded in the main camera's picture.

    A solid scaled about the camera by any factor gives the same picture; both have one apparent size, and the
    factors are drawn apart from it, so that the picture says nothing of which is nearer or bigger.

    Args:
        rng: Where the scene is drawn from.
        apparent_size: Least and greatest size that both seem to have above the middle of the floor.
        sideways: How far either is from the middle of its half of the picture, at most.
    """
    camera = main_camera(rng)
    slots = _some_slots(2, rng)
    factors = rng.permutation([0.65, 0.9]) + rng.uniform(-0.04, 0.04, 2)
    apparent = rng.uniform(*apparent_size)
    solids = []
    for slot, (colour, shape), factor in zip(slots, _things(len(slots), rng), factors, strict=True):
        x = SLOT_X[slot] + rng.uniform(-sideways, sideways)
        seen_at = np.array([x, rng.uniform(-0.2, 0.2), rng.uniform(1.0, 1.5)])
        eye = np.asarray(camera.position)
        position = eye + factor * (seen_at - eye)
        x, y, z = (float(v) for v in position)
        solids.append(
            Solid(shape, colour, round(float(factor * apparent), 4), (Waypoint(0.0, rounded((x, y, z), 4)),), _ALWAYS)
        )
    return _scene("floating", rng, solids=solids, sounds=_stray_sounds(rng), cameras=(camera, *other_cameras(rng)))


def lit(rng: np.random.Generator) -> Scene:
    """Things take turns under one to three flashes, each of them seen in exactly one sampled frame."""
    scene = turns(rng)
    seconds = np.sort(rng.choice(DURATION_SEC, int(rng.integers(1, 4)), replace=False))
    colours = rng.choice(FLASH_COLOURS, len(seconds), replace=False)
    flashes = [
        Flash(str(colour), round(float(second + rng.uniform(0.3, 0.45)), 3), 0.3)
        for second, colour in zip(seconds, colours, strict=True)
    ]
    return _scene("lit", rng, solids=list(scene.solids), sounds=list(scene.sounds), flashes=flashes)


def blinking(rng: np.random.Generator) -> Scene:
    """Things take turns; one to four flashes fall between the sampled frames, the colours all different."""
    # Around the whole seconds: half-way between two sampled frames.
    return _blinking(rng, np.arange(1, DURATION_SEC), lambda: _FRAME_SEC * rng.integers(-1, 2))


def blinking_apart(rng: np.random.Generator) -> Scene:
    """As ``blinking``, but each flash falls into the second of one sampled frame, and no two into the same."""
    return _blinking(rng, np.arange(DURATION_SEC), lambda: rng.choice(_BESIDE_SAMPLED_SEC))


def hidden_turns(rng: np.random.Generator, in_place: bool = False) -> Scene:
    """Two to three things take turns behind a wall, each turn with one sound of its own.

    Args:
        rng: Where the scene is drawn from.
        in_place: Whether all stand where a single thing behind a wall would, and as big, instead of in rows.
    """
    count = int(rng.integers(2, 4))
    edges = _turn_edges(count, rng)
    wall = _wall(_some_slots(1, rng)[0])
    present = [((start, end),) for start, end in zip(edges[:-1], edges[1:], strict=True)]
    things = _things(count, rng)
    if in_place:
        solids = [_behind(wall, [thing], [turn])[0] for thing, turn in zip(things, present, strict=True)]
    else:
        solids = _behind(wall, things, present)
    kinds = rng.permutation(SOUND_KINDS)[:count]
    sounds = [
        _sound(str(kind), int(rng.integers(start, end)), rng)
        for kind, start, end in zip(kinds, edges[:-1], edges[1:], strict=True)
    ]
    layout = "hidden_in_place" if in_place else "hidden_turns"
    return _scene(layout, rng, solids=solids, walls=[wall], sounds=sounds)


LAYOUTS: dict[str, Callable[[np.random.Generator], Scene]] = {
    "turns": turns,
    "together": together,
    "elsewhere": elsewhere,
    "moving": moving,
    "walled": walled,
    "floating": floating,
    "lit": lit,
    "blinking": blinking,
    "hidden_turns": hidden_turns,
}
"""What the tiny base learns from; to change one, or their number, is to change its lessons."""

CHANNEL_LAYOUTS: dict[str, Callable[[np.random.Generator], Scene]] = {
    "floating_large": partial(floating, apparent_size=(0.85, 1.0), sideways=0.1),
    "walled_in_rows": partial(walled, rows=(0.0, 0.75, 1.5), crowded_size=0.36),
    "blinking_apart": blinking_apart,
    "hidden_in_place": partial(hidden_turns, in_place=True),
}
"""Layouts of the tracks of the same kinds, drawn so that few and coarse tokens of a side channel tell the answer."""


def _scene(
    layout: str,
    rng: np.random.Generator,
    *,
    solids: list[Solid],
    sounds: list[SoundEvent],
    walls: list[Wall] | None = None,
    flashes: list[Flash] | None = None,
    cameras: tuple[Camera, ...] | None = None,
) -> Scene:
    if cameras is None:
        cameras = (main_camera(rng), *other_cameras(rng))
    return Scene(
        layout=layout,
        duration_sec=float(DURATION_SEC),
        cameras=cameras,
        solids=tuple(solids[k] for k in rng.permutation(len(solids))),
        walls=tuple(walls or ()),
        sounds=tuple(sorted(sounds, key=lambda event: event.onset_sec)),
        flashes=tuple(flashes or ()),
    )


def _blinking(rng: np.random.Generator, seconds: np.ndarray, shift_sec: Callable[[], float]) -> Scene:
    """Let one to four flashes of one frame each fall on some of the seconds, shifted."""
    scene = turns(rng)
    count = int(rng.integers(1, 5))
    chosen = np.sort(rng.choice(seconds, count, replace=False))
    colours = rng.choice(FLASH_COLOURS, count, replace=False)
    flashes = [
        Flash(str(colour), float(second + shift_sec()), _FRAME_SEC)
        for second, colour in zip(chosen, colours, strict=True)
    ]
    return _scene("blinking", rng, solids=list(scene.solids), sounds=list(scene.sounds), flashes=flashes)


def _things(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    colours = rng.permutation(list(COLOURS))[:count]
    return [(str(colour), str(shape)) for colour, shape in zip(colours, rng.choice(SHAPES, count), strict=True)]


def _turn_edges(count: int, rng: np.random.Generator) -> list[float]:
    lengths = np.full(count, 2)
    for _ in range(DURATION_SEC - 2 * count):
        lengths[rng.integers(count)] += 1
    return [0.0, *(float(edge) for edge in np.cumsum(lengths))]


def _sounds_by_turn(edges: list[float], rng: np.random.Generator) -> list[SoundEvent]:
    count = len(edges) - 1
    kinds = [str(kind) for kind in rng.permutation(SOUND_KINDS)]
    sounds = []
    for turn in rng.permutation(count)[: int(rng.integers(2, count + 1))]:
        number = 2 if rng.random() < 0.25 else 1
        seconds = rng.choice(np.arange(int(edges[turn]), int(edges[turn + 1])), number, replace=False)
        sounds += [_sound(kinds.pop(), int(second), rng) for second in seconds]
    return sounds


def _stray_sounds(rng: np.random.Generator) -> list[SoundEvent]:
    seconds = rng.choice(DURATION_SEC, int(rng.integers(0, 4)), replace=False)
    kinds = rng.permutation(SOUND_KINDS)
    return [_sound(str(kind), int(second), rng) for kind, second in zip(kinds, seconds, strict=False)]


def _sound(kind: str, second: int, rng: np.random.Generator) -> SoundEvent:
    """Place a sound of 0.4 s in the second [k, k+1) that belongs to one sampled frame, 0.15 s clear of its ends."""
    return SoundEvent(kind, round(second + float(rng.uniform(0.15, 0.45)), 3))


def _slot(rng: np.random.Generator) -> float:
    return SLOT_X[_some_slots(1, rng)[0]] + float(rng.uniform(-0.15, 0.15))


def _some_slots(count: int, rng: np.random.Generator) -> list[str]:
    return [str(slot) for slot in rng.permutation(list(SLOT_X))[:count]]


def _row(slots: list[str], rng: np.random.Generator) -> list[Solid]:
    solids = []
    for slot, (colour, shape) in zip(slots, _things(len(slots), rng), strict=True):
        x = SLOT_X[slot] + rng.uniform(-0.15, 0.15)
        solids.append(_resting(shape, colour, rng.uniform(0.7, 0.95), x, rng.uniform(-0.4, 0.5), _ALWAYS))
    return solids


def _wall(slot: str) -> Wall:
    return Wall(rounded((0.9 * SLOT_X[slot], -0.9, 0.95)), (1.9, 0.15, 1.9))


def _behind(
    wall: Wall,
    things: list[tuple[str, str]],
    present: list[tuple[tuple[float, float], ...]],
    rows: Sequence[float] = (0.0, 0.95, 1.9),
    crowded_size: float = 0.42,
) -> list[Solid]:
    """Stand things behind a wall, one behind the other in the wedge that it hides from the main camera."""
    size = 0.55 if len(things) == 1 else crowded_size
    solids = []
    for (colour, shape), y, interval in zip(things, rows, present, strict=False):
        wedge = (y - EYE[1]) / (wall.centre[1] - EYE[1])
        solids.append(_resting(shape, colour, size, wall.centre[0] * wedge, y, interval))
    return solids


def _in_front(slots: list[str], things: list[tuple[str, str]], rng: np.random.Generator) -> list[Solid]:
    """Stand things nearer to the camera than any wall."""
    solids = []
    for slot, (colour, shape) in zip(slots, things, strict=True):
        x = 0.85 * SLOT_X[slot] + rng.uniform(-0.15, 0.15)
        solids.append(_resting(shape, colour, rng.uniform(0.5, 0.65), x, rng.uniform(-1.8, -1.5), _ALWAYS))
    return solids


def _resting(
    shape: str, colour: str, size: float, x: float, y: float, present: tuple[tuple[float, float], ...]
) -> Solid:
    size = round(float(size), 3)
    position = rounded((x, y, HALF_HEIGHT[shape] * size))
    return Solid(shape, colour, size, (Waypoint(0.0, position),), present)
