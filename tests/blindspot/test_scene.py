"""Scenes: the JSON round trip, presence, paths, and the sampled times."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pave.blindspot.layouts import LAYOUTS, draw
from pave.blindspot.scene import Flash, Scene, Solid, Waypoint, sampled_times


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_scene_survives_json(layout: str) -> None:
    scene = draw(layout, np.random.default_rng(3))
    assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_a_solid_moves_in_straight_lines_and_stands_before_and_after() -> None:
    path = (Waypoint(1.0, (0.0, 0.0, 1.0)), Waypoint(3.0, (2.0, -4.0, 1.0)))
    solid = Solid("cube", "red", 1.0, path, ((0.0, 8.0),))
    assert solid.position(0.0) == (0.0, 0.0, 1.0)
    assert solid.position(2.0) == (1.0, -2.0, 1.0)
    assert solid.position(9.0) == (2.0, -4.0, 1.0)


def test_presence_holds_its_start_and_not_its_end() -> None:
    solid = Solid("cube", "red", 1.0, (Waypoint(0.0, (0.0, 0.0, 1.0)),), ((1.0, 2.0), (4.0, 5.0)))
    assert [solid.is_present(t) for t in (0.9, 1.0, 1.9, 2.0, 4.5, 5.0)] == [False, True, True, False, True, False]
    flash = Flash("red", 1.0, 0.5)
    assert [flash.is_on(t) for t in (0.9, 1.0, 1.4, 1.5)] == [False, True, True, False]


def test_sampled_times_are_midpoints() -> None:
    np.testing.assert_array_equal(sampled_times(8.0), np.arange(8) + 0.5)
    np.testing.assert_allclose(sampled_times(3.0, 3), [0.5, 1.5, 2.5])
