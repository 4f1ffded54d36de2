"""Pictures and depth: sizes, what hides what, and that size and distance can be confounded exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pave.blindspot.layouts import draw
from pave.blindspot.observation import hidden, sightings
from pave.blindspot.render import project, render, render_depth
from pave.blindspot.scene import COLOURS, Camera, Flash, Scene, Solid, Wall, Waypoint, sampled_times

CAMERA = Camera("main", (0.0, -6.0, 1.0), (0.0, 0.0, 1.0), 40.0)
ALWAYS = ((0.0, 8.0),)


def _solid(shape: str, colour: str, size: float, position: tuple[float, float, float]) -> Solid:
    return Solid(shape, colour, size, (Waypoint(0.0, position),), ALWAYS)


def _scene(*solids: Solid, **more: object) -> Scene:
    return Scene("test", 8.0, (CAMERA,), solids=solids, **more)  # type: ignore[arg-type]


def _is_colour(picture: np.ndarray, colour: str) -> np.ndarray:
    """Pixels whose hue is that of the colour: it is only ever made darker by shading."""
    reference = np.asarray(COLOURS[colour], float)
    values = picture.astype(float)
    scale = (values @ reference) / (reference @ reference)
    return (np.abs(values - scale[..., None] * reference).max(-1) < 3) & (scale > 0.4)


def test_pictures_have_the_size_asked_for() -> None:
    frames = render(_scene(), [0.0, 1.0, 2.0], 96, 48)
    assert frames.shape == (3, 48, 96, 3)
    assert frames.dtype == np.uint8


@pytest.mark.parametrize("shape", ["sphere", "cube", "cone", "cylinder", "ring"])
def test_a_solid_shows_in_its_colour_where_it_is_projected(shape: str) -> None:
    solid = _solid(shape, "red", 0.8, (1.0, 0.0, 1.2))
    picture = render(_scene(solid), [0.0], 96, 96)[0]
    rows, columns = np.nonzero(_is_colour(picture, "red"))
    x, y, depth = project(CAMERA, (1.0, 0.0, 1.2))
    assert depth == pytest.approx(6.0)
    assert (columns.min() + columns.max() + 1) / 2 / 96 == pytest.approx(x, abs=0.03)
    assert (rows.min() + rows.max() + 1) / 2 / 96 == pytest.approx(y, abs=0.03)


def test_depth_is_measured_along_the_optical_axis() -> None:
    depth = render_depth(_scene(_solid("sphere", "red", 0.5, (0.0, 0.0, 1.0))), [0.0], 33, 33)[0]
    assert depth[16, 16] == pytest.approx(5.5, abs=1e-3)
    cube = render_depth(_scene(_solid("cube", "red", 1.0, (0.0, 0.0, 1.0))), [0.0], 33, 33)[0]
    np.testing.assert_allclose(cube[14:19, 12:21], 5.2, atol=1e-3)
    assert np.isinf(depth[0]).all()


def test_the_nearer_thing_hides_the_farther() -> None:
    near, far = _solid("cube", "red", 0.5, (0.0, -2.0, 1.0)), _solid("cube", "blue", 0.5, (0.0, 2.0, 1.0))
    for order in ((near, far), (far, near)):
        picture = render(_scene(*order), [0.0], 64, 64)[0]
        assert _is_colour(picture, "red").any()
        assert not _is_colour(picture, "blue").any()


def test_culling_loses_no_pixel() -> None:
    solid = _solid("cube", "red", 0.9, (2.2, -1.0, 2.4))
    wide = replace(_scene(solid), cameras=(replace(CAMERA, field_of_view_deg=75.0),))
    picture = render(wide, [0.0], 128, 128)[0]
    alone = render(wide, [0.0], 256, 256)[0][::2, ::2]
    assert abs(int(_is_colour(picture, "red").sum()) - int(_is_colour(alone, "red").sum())) < 40


def test_a_solid_scaled_about_the_camera_gives_the_same_picture() -> None:
    eye = np.asarray(CAMERA.position)
    seen_at = np.array([0.6, 0.0, 1.6])
    pictures = []
    for factor in (0.6, 0.95):
        x, y, z = (float(v) for v in eye + factor * (seen_at - eye))
        pictures.append(render(_scene(_solid("cylinder", "green", 0.6 * factor, (x, y, z))), [0.0], 64, 64)[0])
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


def test_a_flash_tints_the_frames_it_is_on_in_and_no_other() -> None:
    lit = _scene(flashes=(Flash("red", 1.0, 0.2),))
    frames, dark = render(lit, [0.9, 1.1, 1.3], 16, 16).astype(int), render(_scene(), [0.0], 16, 16)[0]
    np.testing.assert_array_equal(frames[0], dark)
    np.testing.assert_array_equal(frames[2], dark)
    assert (frames[1][..., 0] - frames[1][..., 2]).mean() > 60


def test_what_a_wall_hides_changes_no_pixel_of_the_main_camera_and_shows_in_another() -> None:
    for seed in range(24):
        scene = draw(
            ("walled", "walled_in_rows", "hidden_turns", "hidden_in_place")[seed % 4], np.random.default_rng(seed)
        )
        concealed = hidden(scene)
        shown = tuple(s for s in scene.solids if s not in concealed)
        without = replace(scene, solids=shown)
        times = sampled_times(scene.duration_sec).tolist()
        np.testing.assert_array_equal(render(scene, times, 64, 64), render(without, times, 64, 64))
        for camera, name in enumerate(view.name for view in scene.cameras):
            if name == "from behind":
                assert (render(scene, times, 64, 64, camera) != render(without, times, 64, 64, camera)).any()


@pytest.mark.parametrize(
    "layout", ["turns", "together", "elsewhere", "moving", "walled", "floating", "floating_large", "lit"]
)
def test_every_sighting_shows_in_the_picture(layout: str) -> None:
    for seed in range(16):
        scene = draw(layout, np.random.default_rng(seed))
        times = sampled_times(scene.duration_sec)
        whole = render(scene, times.tolist(), 64, 64)
        for sighting in sightings(scene):
            rest = replace(scene, solids=tuple(s for s in scene.solids if s != sighting.solid))
            without = render(rest, times.tolist(), 64, 64)
            changed = [(whole[k] != without[k]).any(-1).sum() for k in sighting.frames]
            assert np.median(changed) > 20


def test_a_wall_alone_stands_on_the_floor() -> None:
    scene = Scene("test", 8.0, (CAMERA,), walls=(Wall((0.0, 0.0, 1.0), (2.0, 0.2, 2.0)),))
    depth = render_depth(scene, [0.0], 33, 33)[0]
    assert depth[16, 16] == pytest.approx(5.9, abs=1e-3)
