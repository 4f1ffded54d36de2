"""Layouts: what each promises about turns, margins of sounds and flashes, hiding, and confounded size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pave.blindspot.layouts import CHANNEL_LAYOUTS, DURATION_SEC, LAYOUTS, draw
from pave.blindspot.observation import hidden, sightings
from pave.blindspot.render import render
from pave.blindspot.scene import Scene, Waypoint, sampled_times
from pave.blindspot.sounds import SOUND_SEC

SEEDS = range(120)
EVERY = sorted({**LAYOUTS, **CHANNEL_LAYOUTS})


def _scenes(layout: str) -> list[Scene]:
    return [draw(layout, np.random.default_rng([4, seed])) for seed in SEEDS]


@pytest.mark.parametrize("layout", EVERY)
def test_a_scene_depends_on_its_seed_alone(layout: str) -> None:
    first, again, other = (draw(layout, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("layout", EVERY)
def test_no_two_things_share_a_colour(layout: str) -> None:
    for scene in _scenes(layout):
        colours = [solid.colour for solid in scene.solids]
        assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("layout", ["turns", "lit", "blinking", "blinking_apart", "hidden_turns", "hidden_in_place"])
def test_exactly_one_thing_is_there_at_any_time_for_two_seconds_or_more(layout: str) -> None:
    for scene in _scenes(layout):
        for time in np.arange(0, DURATION_SEC, 0.25):
            assert sum(solid.is_present(float(time)) for solid in scene.solids) == 1
        assert all(end - start >= 2 for solid in scene.solids for start, end in solid.present_sec)


@pytest.mark.parametrize("layout", EVERY)
def test_a_sound_keeps_clear_of_the_midpoints_between_sampled_frames(layout: str) -> None:
    for scene in _scenes(layout):
        for event in scene.sounds:
            assert event.onset_sec % 1 >= 0.149
            assert event.onset_sec % 1 + SOUND_SEC <= 0.851
        kinds = [event.kind for event in scene.sounds]
        assert len(set(kinds)) == len(kinds)
        seconds = [int(event.onset_sec) for event in scene.sounds]
        assert len(set(seconds)) == len(seconds)


def test_two_turns_or_more_have_a_sound() -> None:
    for scene in _scenes("turns"):
        loud = [s for s in scene.solids if any(s.is_present(event.onset_sec) for event in scene.sounds)]
        assert len(loud) >= 2


def test_a_flash_of_lit_is_caught_by_one_frame_and_one_of_blinking_by_none() -> None:
    times = sampled_times(float(DURATION_SEC))
    for layout, caught in (("lit", 1), ("blinking", 0), ("blinking_apart", 0)):
        for scene in _scenes(layout):
            assert scene.flashes
            for flash in scene.flashes:
                assert sum(flash.is_on(float(t)) for t in times) == caught
    for scene in _scenes("blinking"):
        onsets = np.array([flash.onset_sec for flash in scene.flashes])
        np.testing.assert_array_equal(onsets * 8 % 1, 0)
        assert (np.diff(onsets) > 0.5).all()


def test_flashes_apart_belong_to_one_sampled_frame_each() -> None:
    times = sampled_times(float(DURATION_SEC))
    for scene in _scenes("blinking_apart"):
        middles = np.array([flash.onset_sec + flash.duration_sec / 2 for flash in scene.flashes])
        nearest = np.abs(times[:, None] - middles).argmin(0)
        assert len(set(nearest.tolist())) == len(middles)
        assert (np.abs(times[nearest] - middles) < 0.35).all()
        np.testing.assert_array_equal(np.array([flash.onset_sec for flash in scene.flashes]) * 8 % 1, 0)


def test_blinking_flashes_change_no_sampled_frame_and_some_frame_between() -> None:
    scene = _scenes("blinking")[0]
    times = sampled_times(scene.duration_sec).tolist()
    dark = replace(scene, flashes=())
    np.testing.assert_array_equal(render(scene, times, 32, 32), render(dark, times, 32, 32))
    every = (np.arange(64) / 8).tolist()
    assert (render(scene, every, 32, 32) != render(dark, every, 32, 32)).any(axis=(1, 2, 3)).sum() == len(
        scene.flashes
    )


@pytest.mark.parametrize("layout", ["walled", "walled_in_rows"])
def test_walled_hides_one_to_three_things_equally_often(layout: str) -> None:
    counts = np.bincount([len(hidden(scene)) for scene in _scenes(layout) + _scenes(layout)], minlength=4)
    assert counts[0] == 0
    assert (counts[1:] > 0.2 * counts.sum()).all()


@pytest.mark.parametrize("layout", ["hidden_turns", "hidden_in_place"])
def test_what_takes_turns_behind_a_wall_is_never_seen(layout: str) -> None:
    for scene in _scenes(layout):
        assert len(hidden(scene)) == len(scene.solids)
        assert sightings(scene) == []


@pytest.mark.parametrize("layout", ["floating", "floating_large"])
def test_distances_of_floating_things_can_be_exchanged_without_a_trace_in_the_picture(layout: str) -> None:
    for scene in _scenes(layout)[:20]:
        eye = np.asarray(scene.cameras[0].position)
        factors = np.array([np.linalg.norm(np.asarray(s.path[0].position) - eye) / s.size for s in scene.solids])
        np.testing.assert_allclose(factors, factors.mean(), rtol=0.15)
        moved = []
        for solid, factor in zip(scene.solids, (1.05, 0.9), strict=True):
            x, y, z = (float(v) for v in eye + factor * (np.asarray(solid.path[0].position) - eye))
            moved.append(replace(solid, size=solid.size * factor, path=(Waypoint(0.0, (x, y, z)),)))
        before, after = (render(replace(scene, solids=tuple(v)), [0.5], 64, 64)[0] for v in (scene.solids, moved))
        assert (np.abs(before.astype(int) - after).max(-1) > 2).mean() < 0.002


def test_turn_lengths_positions_and_colours_do_not_depend_on_order() -> None:
    scenes = [draw("turns", np.random.default_rng([8, k])) for k in range(600)]
    ordered = [sorted(scene.solids, key=lambda s: s.present_sec[0][0]) for scene in scenes]
    first, last = ([solids[k].present_sec[0] for solids in ordered] for k in (0, -1))
    lengths = [np.mean([end - start for start, end in spans]) for spans in (first, last)]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.25)
