"""Pictures and depth of a scene from any of its cameras, ray-cast in float32 with numpy.

Shading depends only on surface direction, and nothing casts a shadow: a solid scaled about the camera gives the same
picture, which is what lets size and distance be confounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pave.blindspot.intersect import SOLIDS, Hit, box
from pave.blindspot.scene import COLOURS, Camera, Flash, Scene, Vector, Wall
from pave.media.cameras import Intrinsics

_LIGHT = np.array([-0.42, -0.58, 0.70], np.float32)
_AMBIENT = np.float32(0.5)
_WALL_COLOUR = (112, 112, 118)
_FLOOR_NEAR, _FLOOR_FAR, _SKY = (168, 160, 146), (140, 134, 126), (176, 190, 204)
_FLASH_STRENGTH = np.float32(0.55)


@dataclass(frozen=True)
class _View:
    """A camera's rays, (3, H, W), scaled so that a ray's parameter is the depth along the optical axis."""

    origin: np.ndarray
    axes: np.ndarray
    rays: np.ndarray
    focal: float


def render(scene: Scene, times_sec: Sequence[float], width: int, height: int, camera: int = 0) -> np.ndarray:
    """Return the pictures at the given seconds, uint8 (T, height, width, 3)."""
    view = _view(scene.cameras[camera], width, height)
    picture, depth = _background(scene.walls, view)
    cached: dict[tuple[object, ...], np.ndarray] = {}
    frames = np.empty((len(times_sec), height, width, 3), np.uint8)
    for index, time in enumerate(times_sec):
        state = _state(scene, time)
        if state not in cached:
            frame, _ = _add_solids(scene, time, view, picture.copy(), depth.copy())
            cached[state] = np.clip(frame + 0.5, 0, 255).astype(np.uint8)
        frames[index] = cached[state]
    return frames


def render_depth(scene: Scene, times_sec: Sequence[float], width: int, height: int, camera: int = 0) -> np.ndarray:
    """Return the depth along the camera's optical axis in metres, float32 (T, height, width); infinite in the sky."""
    view = _view(scene.cameras[camera], width, height)
    picture, depth = _background(scene.walls, view)
    return np.stack([_add_solids(scene, time, view, picture.copy(), depth.copy())[1] for time in times_sec])


def project(camera: Camera, point: Vector, aspect: float = 1.0) -> tuple[float, float, float]:
    """Return where a point falls in the picture, (x, y) in 0..1 from the top left, and its depth in metres."""
    offset = tuple(p - e for p, e in zip(point, camera.position, strict=True))
    right, up, forward = (sum(a * o for a, o in zip(axis, offset, strict=True)) for axis in _axes(camera))
    half = math.tan(math.radians(camera.field_of_view_deg) / 2)
    return 0.5 + right / forward / half / aspect / 2, 0.5 - up / forward / half / 2, forward


def intrinsics(camera: Camera, width: int, height: int) -> Intrinsics:
    """Return a camera's intrinsics for pictures of that size; pixels are square."""
    focal = _focal(camera, height)
    return Intrinsics(focal, focal, width / 2 - 0.5, height / 2 - 0.5, width, height)


def camera_to_world(camera: Camera) -> np.ndarray:
    """Return a camera's pose (4,4): camera to world, OpenCV axes (x right, y down, z forward), metres."""
    right, up, forward = _axes(camera)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.negative(up), forward, camera.position])
    return pose


def _focal(camera: Camera, height: int) -> float:
    return height / 2 / math.tan(math.radians(camera.field_of_view_deg) / 2)


def _axes(camera: Camera) -> tuple[Vector, Vector, Vector]:
    """Return the camera's right, up and forward directions."""
    forward_x, forward_y, forward_z = (a - e for a, e in zip(camera.look_at, camera.position, strict=True))
    level = math.hypot(forward_x, forward_y)
    length = math.hypot(level, forward_z)
    sin, cos = forward_z / length, level / length
    ahead_x, ahead_y = forward_x / level, forward_y / level
    return (ahead_y, -ahead_x, 0.0), (-ahead_x * sin, -ahead_y * sin, cos), (ahead_x * cos, ahead_y * cos, sin)


def _view(camera: Camera, width: int, height: int) -> _View:
    axes = np.array(_axes(camera), np.float32)
    right, up, forward = axes
    focal = _focal(camera, height)
    x = ((np.arange(width) + 0.5 - width / 2) / focal).astype(np.float32)
    y = ((height / 2 - np.arange(height) - 0.5) / focal).astype(np.float32)
    rays = forward[:, None, None] + right[:, None, None] * x[None, None, :] + up[:, None, None] * y[None, :, None]
    return _View(np.asarray(camera.position, np.float32), axes, rays, focal)


def _state(scene: Scene, time_sec: float) -> tuple[object, ...]:
    solids = tuple(s.position(time_sec) if s.is_present(time_sec) else None for s in scene.solids)
    return solids, tuple(flash.is_on(time_sec) for flash in scene.flashes)


def _background(walls: Sequence[Wall], view: _View) -> tuple[np.ndarray, np.ndarray]:
    slope = view.rays[2]
    below = slope < -1e-6
    depth = np.where(below, -view.origin[2] / np.where(below, slope, -1), np.inf).astype(np.float32)
    haze = np.clip(depth / 25, 0, 1)[..., None]
    floor = np.asarray(_FLOOR_NEAR, np.float32) * (1 - haze) + np.asarray(_FLOOR_FAR, np.float32) * haze
    picture = np.where(below[..., None], floor, np.asarray(_SKY, np.float32)).astype(np.float32)
    for wall in walls:
        half = np.asarray(wall.extent, np.float32) / 2
        hit = box(view.origin - np.asarray(wall.centre, np.float32), view.rays.reshape(3, -1), half)
        _paint(picture, depth, (slice(None), slice(None)), hit, _WALL_COLOUR)
    return picture, depth


def _add_solids(
    scene: Scene, time_sec: float, view: _View, picture: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    for solid in scene.solids:
        if not solid.is_present(time_sec):
            continue
        centre = np.asarray(solid.position(time_sec), np.float32)
        window = _window(view, centre, 1.4 * solid.size)
        rays = view.rays[:, window[0], window[1]].reshape(3, -1)
        if rays.size:
            _paint(
                picture,
                depth,
                window,
                SOLIDS[solid.shape](view.origin - centre, rays, solid.size),
                COLOURS[solid.colour],
            )
    return _light(picture, [flash for flash in scene.flashes if flash.is_on(time_sec)]), depth


def _window(view: _View, centre: np.ndarray, radius: float) -> tuple[slice, slice]:
    """Return the rows and columns that can show a ball of that radius (all of them if it is near the camera)."""
    height, width = view.rays.shape[1:]
    right, up, forward = (float(v) for v in view.axes @ (centre - view.origin))
    if forward <= 2 * radius:
        return slice(0, height if forward > -radius else 0), slice(0, width)
    reach = radius / (forward - radius) * view.focal
    column, row = width / 2 + right / forward * view.focal, height / 2 - up / forward * view.focal
    # A ball off the axis is seen stretched, by less than the margin for the angles used here.
    reach = 1.15 * reach + 1
    return (
        slice(max(0, math.floor(row - reach)), max(0, math.ceil(row + reach))),
        slice(max(0, math.floor(column - reach)), max(0, math.ceil(column + reach))),
    )


def _paint(
    picture: np.ndarray, depth: np.ndarray, window: tuple[slice, slice], hit: Hit, colour: tuple[int, int, int]
) -> None:
    pixels, metres = picture[window], depth[window]
    t = hit[0].reshape(metres.shape)
    closer = t < metres
    metres[closer] = t[closer]
    shade = _AMBIENT + (1 - _AMBIENT) * np.clip(_LIGHT @ hit[1], 0, 1).reshape(metres.shape)
    pixels[closer] = shade[closer][:, None] * np.asarray(colour, np.float32)


def _light(picture: np.ndarray, flashes: list[Flash]) -> np.ndarray:
    for flash in flashes:
        picture = (1 - _FLASH_STRENGTH) * picture + _FLASH_STRENGTH * np.asarray(COLOURS[flash.colour], np.float32)
    return picture
