"""Where rays meet solids: closed forms for sphere, box, cylinder, cone and ring, vectorised over rays.

Every function takes the rays' common origin (3,) relative to the solid's centre and their directions (3, P), and
returns the ray parameter of the nearest hit (P,), infinite where there is none, and the outward normals (3, P).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Hit = tuple[np.ndarray, np.ndarray]

_NEVER = np.float32(np.inf)
_TINY = np.float32(1e-9)


def sphere(origin: np.ndarray, rays: np.ndarray, size: float) -> Hit:
    """A ball of radius ``size``."""
    near, _, hit = _quadratic((rays * rays).sum(0), origin @ rays, origin @ origin - size * size)
    t = np.where(hit & (near > 0), near, _NEVER)
    return t, (origin[:, None] + np.where(hit, near, 0) * rays) / np.float32(size)


def box(origin: np.ndarray, rays: np.ndarray, half: np.ndarray) -> Hit:
    """A box along the axes with half extents ``half`` (3,)."""
    safe = np.where(np.abs(rays) < _TINY, _TINY, rays)
    first = (-half - origin)[:, None] / safe
    second = (half - origin)[:, None] / safe
    entry, leave = np.minimum(first, second), np.maximum(first, second)
    axis = entry.argmax(0)
    t = entry.max(0)
    hit = (t < leave.min(0)) & (t > 0)
    normals = np.where(np.arange(3)[:, None] == axis, -np.sign(rays), 0).astype(np.float32)
    return np.where(hit, t, _NEVER), normals


def cube(origin: np.ndarray, rays: np.ndarray, size: float) -> Hit:
    """A cube with half edge 0.8 ``size``."""
    return box(origin, rays, np.full(3, 0.8 * size, np.float32))


def cylinder(origin: np.ndarray, rays: np.ndarray, size: float) -> Hit:
    """An upright cylinder of radius 0.55 ``size`` and half height 0.95 ``size``."""
    side = _tube(origin, rays, 0.55 * size, 0.95 * size, axis=2, inner=False)
    caps = [_disc(origin, rays, sign * 0.95 * size, 0.0, 0.55 * size, axis=2, facing=sign) for sign in (1.0, -1.0)]
    return _nearest([side, *caps])


def ring(origin: np.ndarray, rays: np.ndarray, size: float) -> Hit:
    """A short hollow cylinder standing up, its hole along y: outer radius ``size``, inner 0.55, half depth 0.2."""
    outer, inner, half = size, 0.55 * size, 0.2 * size
    parts = [
        _tube(origin, rays, outer, half, axis=1, inner=False),
        _tube(origin, rays, inner, half, axis=1, inner=True),
        *(_disc(origin, rays, sign * half, inner, outer, axis=1, facing=sign) for sign in (1.0, -1.0)),
    ]
    return _nearest(parts)


def cone(origin: np.ndarray, rays: np.ndarray, size: float) -> Hit:
    """An upright cone of base radius 0.9 ``size`` and half height 0.9 ``size``."""
    half = np.float32(0.9 * size)
    slope = np.float32(0.5)  # base radius over full height
    below_apex = half - origin[2]
    a = rays[0] ** 2 + rays[1] ** 2 - (slope * rays[2]) ** 2
    b = origin[0] * rays[0] + origin[1] * rays[1] + slope**2 * below_apex * rays[2]
    c = origin[0] ** 2 + origin[1] ** 2 - (slope * below_apex) ** 2
    first, second, hit = _quadratic(np.where(np.abs(a) < _TINY, _TINY, a), b, c)
    t = np.full(rays.shape[1], _NEVER)
    for candidate in (np.maximum(first, second), np.minimum(first, second)):
        z = origin[2] + candidate * rays[2]
        t = np.where(hit & (candidate > 0) & (z <= half) & (z >= -half), candidate, t)
    point = origin[:, None] + np.where(np.isfinite(t), t, 0) * rays
    normals = np.stack([point[0], point[1], slope**2 * (half - point[2])])
    normals = normals / np.sqrt((normals * normals).sum(0) + _TINY)
    return _nearest([(t, normals), _disc(origin, rays, -half, 0.0, 0.9 * size, axis=2, facing=-1.0)])


SOLIDS: dict[str, Callable[[np.ndarray, np.ndarray, float], Hit]] = {
    "sphere": sphere,
    "cube": cube,
    "cone": cone,
    "cylinder": cylinder,
    "ring": ring,
}


def _quadratic(a: np.ndarray, b: np.ndarray, c: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    discriminant = b * b - a * c
    root = np.sqrt(np.maximum(discriminant, 0))
    return (-b - root) / a, (-b + root) / a, discriminant > 0


def _tube(origin: np.ndarray, rays: np.ndarray, radius: float, half: float, *, axis: int, inner: bool) -> Hit:
    across = [k for k in range(3) if k != axis]
    o, d = origin[across], rays[across]
    a = np.maximum((d * d).sum(0), _TINY)
    near, far, hit = _quadratic(a, o @ d, o @ o - radius * radius)
    t = far if inner else near
    along = origin[axis] + t * rays[axis]
    hit = hit & (t > 0) & (np.abs(along) <= half)
    normals = np.zeros_like(rays)
    normals[across] = (o[:, None] + np.where(hit, t, 0) * d) / np.float32(-radius if inner else radius)
    return np.where(hit, t, _NEVER), normals


def _disc(
    origin: np.ndarray, rays: np.ndarray, level: float, inner: float, outer: float, *, axis: int, facing: float
) -> Hit:
    slope = rays[axis]
    t = (np.float32(level) - origin[axis]) / np.where(np.abs(slope) < _TINY, _TINY, slope)
    across = [k for k in range(3) if k != axis]
    point = origin[across][:, None] + t * rays[across]
    distance = (point * point).sum(0)
    hit = (t > 0) & (slope * facing < 0) & (distance <= outer * outer) & (distance >= inner * inner)
    normals = np.zeros_like(rays)
    normals[axis] = facing
    return np.where(hit, t, _NEVER), normals


def _nearest(hits: list[Hit]) -> Hit:
    t, normals = hits[0]
    for other_t, other_normals in hits[1:]:
        closer = other_t < t
        t, normals = np.where(closer, other_t, t), np.where(closer, other_normals, normals)
    return t, normals
