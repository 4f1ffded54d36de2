"""Closed forms of ray and solid: hits lie on the surface, normals look at the eye, misses are infinite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.blindspot.intersect import SOLIDS, box

SIZE = 1.3


def _outside(shape: str, point: np.ndarray) -> np.ndarray:
    """How far outside a solid of ``SIZE`` a point is, 0 on the surface; written apart from the code under test."""
    x, y, z = point / SIZE
    across = np.hypot(x, y)
    standing = np.hypot(x, z)
    return {
        "sphere": lambda: np.sqrt(x**2 + y**2 + z**2) - 1,
        "cube": lambda: np.maximum.reduce([abs(x), abs(y), abs(z)]) - 0.8,
        "cylinder": lambda: np.maximum(across - 0.55, abs(z) - 0.95),
        "cone": lambda: np.maximum(across - 0.5 * (0.9 - z), -z - 0.9),
        "ring": lambda: np.maximum.reduce([standing - 1, 0.55 - standing, abs(y) - 0.2]),
    }[shape]()


def _march(shape: str, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Nearest hit by walking along each ray in small steps; infinite where there is none."""
    steps = np.arange(3, 7, 0.004)
    points = origin[:, None, None] + steps[None, None, :] * rays[:, :, None]
    inside = _outside(shape, points) <= 0
    return np.where(inside.any(-1), steps[inside.argmax(-1)], np.inf)


@pytest.mark.parametrize("shape", sorted(SOLIDS))
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_hits_agree_with_marching_along_the_ray(shape: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    origin = (5 * direction / np.linalg.norm(direction)).astype(np.float32)
    targets = rng.uniform(-1.6, 1.6, (3, 12))
    rays = targets - origin[:, None]
    rays = (rays / np.linalg.norm(rays, axis=0)).astype(np.float32)
    t, normals = SOLIDS[shape](origin, rays, SIZE)
    walked = _march(shape, origin.astype(float), rays.astype(float))
    # A grazing ray may slip between two steps of the walk; where both hit, they agree to a step and a grazing margin.
    both = np.isfinite(t) & np.isfinite(walked)
    assert (np.isfinite(t) >= np.isfinite(walked)).all()
    assert (t[both] <= walked[both] + 1e-3).all()
    points = origin[:, None] + t[both] * rays[:, both]
    np.testing.assert_allclose(_outside(shape, points.astype(float)), 0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(normals[:, both], axis=0), 1, atol=1e-3)
    assert ((normals[:, both] * rays[:, both]).sum(0) <= 1e-3).all()


@pytest.mark.parametrize("shape", sorted(SOLIDS))
def test_what_lies_behind_the_eye_is_not_hit(shape: str) -> None:
    t, _ = SOLIDS[shape](np.array([0, -5, 0], np.float32), np.array([[0.02], [-1.0], [0.03]], np.float32), 1.0)
    assert np.isinf(t).all()


def test_the_hole_of_a_ring_is_seen_through() -> None:
    origin = np.array([0, -5, 0], np.float32)
    through, metal = np.array([0.0, 1.0, 0.0]), np.array([0.78 / 4.8, 1.0, 0.0])
    t, _ = SOLIDS["ring"](origin, np.stack([through, metal], 1).astype(np.float32), 1.0)
    assert np.isinf(t[0])
    assert t[1] == pytest.approx(4.8, abs=0.01)


def test_a_box_is_entered_at_its_nearest_side() -> None:
    t, normals = box(np.array([0, -5, 0], np.float32), np.array([[0.0], [1.0], [0.0]], np.float32), np.ones(3))
    assert t[0] == pytest.approx(4.0)
    np.testing.assert_array_equal(normals[:, 0], [0, -1, 0])
