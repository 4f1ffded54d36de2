"""Side media: real files that answer every question of their track, and a film that answers none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pave.blindspot.film import FilmFormat, write_mp4
from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.layouts import FLASH_COLOURS
from pave.blindspot.questions.question import NUMBERS
from pave.blindspot.render import camera_to_world, intrinsics, render, render_depth
from pave.blindspot.scene import COLOURS, HALF_HEIGHT, SHAPES, Scene, sampled_times
from pave.blindspot.sounds import soundtrack
from pave.blindspot.vocabulary import words
from pave.encoders.views_file import read_views
from pave.media.cameras import back_project
from pave.media.probe import probe
from pave.media.recording import RgbdFrame, open_recording
from pave.media.video import frames_at, sample_frames
from tests.blindspot.pictures import colours_in, exactly

COUNT = 40
SHOWN, SEEN_PIXELS = 20, 16
"""Pixels that a thing in plain view has in the main film at least, and one behind a wall in another."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for track in ("depth", "views", "blink"):
        make(MakeConfig(track, COUNT, 11, folder / track, workers=1))
    return folder


def _samples(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def _scenes(folder: Path) -> dict[str, Scene]:
    lines = (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["clip"]: Scene.from_dict(entry["scene"]) for entry in map(json.loads, lines)}


def _all_right(folder: Path, answer: Callable[[dict[str, Any]], str]) -> None:
    samples = _samples(folder)
    assert len(samples) == COUNT
    assert [answer(sample) for sample in samples] == [sample["answer"] for sample in samples]


def _thing_m(frame: RgbdFrame, name: str) -> tuple[float, float]:
    """Metres from the camera to a thing, and its size, from a recording alone."""
    colour, shape = name.split()
    seen = exactly(frame.pixels, colour)
    assert frame.depth_m is not None
    depth_m = float(np.median(frame.depth_m[seen]))
    rows = np.nonzero(seen)[0]
    height_m = depth_m * float(rows.max() - rows.min() + 1) / frame.camera.fy
    return depth_m, height_m / 2 / HALF_HEIGHT[shape]


def _answer_depth(folder: Path, sample: dict[str, Any]) -> str:
    frame = next(open_recording(folder / sample["side"]["depth"]).frames([0]))
    question = sample["messages"][0]["content"]
    named = sorted((f"{c} {s}" for c in COLOURS for s in SHAPES if f"{c} {s}" in question), key=question.index)
    (depth_a, size_a), (depth_b, size_b) = (_thing_m(frame, name) for name in named)
    if "in front of" in question:
        return "yes" if depth_a < depth_b else "no"
    if "bigger" in question:
        return named[0] if size_a > size_b else named[1]
    return named[0] if depth_a < depth_b else named[1]


def test_depth_answers_its_questions(sets: Path) -> None:
    _all_right(sets / "depth", lambda sample: _answer_depth(sets / "depth", sample))


def test_depth_is_exact_and_its_points_lie_on_the_things(sets: Path) -> None:
    for clip, scene in list(_scenes(sets / "depth").items())[:4]:
        recording = open_recording(sets / "depth" / "depth" / Path(clip).stem)
        np.testing.assert_array_equal(recording.times_sec, sampled_times(scene.duration_sec))
        assert not recording.skipped
        frame = next(recording.frames([3]))
        drawn = render_depth(scene, [3.5], 64, 64)[0]
        np.testing.assert_array_equal(frame.pixels, render(scene, [3.5], 64, 64)[0])
        there = drawn < 65.5
        assert frame.depth_m is not None
        np.testing.assert_allclose(frame.depth_m[there], drawn[there], atol=0.000_51)
        assert (frame.depth_m[~there] == 0).all() and not there.all()
        points = back_project(frame.depth_m, frame.camera, frame.camera_to_world)
        for solid in scene.solids:
            away = np.linalg.norm(points - solid.position(3.5), axis=-1)[exactly(frame.pixels, solid.colour)]
            # From the hole of a ring to the rim of a cone.
            assert len(away) > 50 and away.min() > 0.3 * solid.size and away.max() < 1.5 * solid.size
    with Image.open(sets / "depth" / "depth" / "000000" / "depth" / "000.png") as picture:
        assert picture.mode == "I;16"


def test_all_cameras_agree_where_a_surface_is() -> None:
    """A ball's surface, back-projected from the depth of five cameras, is a ball of its size about its centre."""
    scene = next(
        scene
        for scene in _drawn("floating_large", 40)
        if all(solid.shape == "sphere" for solid in scene.solids) and len(scene.cameras) == 5
    )
    for index, camera in enumerate(scene.cameras):
        depth = render_depth(scene, [0.0], 96, 72, index)[0]
        points = back_project(
            np.where(np.isfinite(depth), depth, 0), intrinsics(camera, 96, 72), camera_to_world(camera)
        )
        picture = render(scene, [0.0], 96, 72, index)[0]
        for solid in scene.solids:
            seen = exactly(picture, solid.colour)
            if seen.any():
                away = np.linalg.norm(points - solid.position(0.0), axis=-1)[seen]
                np.testing.assert_allclose(away, solid.size, rtol=0.001)


def _drawn(layout: str, count: int) -> list[Scene]:
    from pave.blindspot.layouts import draw

    return [draw(layout, np.random.default_rng([3, seed])) for seed in range(count)]


def _hidden_colours(folder: Path, sample: dict[str, Any]) -> set[str]:
    """What other cameras show and the film does not."""
    shown = colours_in(sample_frames(folder / sample["video"], 1).pixels[0], SHOWN)
    cameras = read_views(folder / sample["side"]["views"]).cameras
    seen = [colours_in(sample_frames(camera.path, 1).pixels[0], SEEN_PIXELS) for camera in cameras]
    return set().union(*seen) - shown


def _answer_views(folder: Path, sample: dict[str, Any]) -> str:
    hidden = _hidden_colours(folder, sample)
    if sample["form"] == "hidden_count":
        return NUMBERS[len(hidden)]
    (colour,) = hidden
    return f"{colour} {_shape(folder, sample, colour)}" if sample["form"] == "behind" else colour


def _shape(folder: Path, sample: dict[str, Any], colour: str) -> str:
    """The shape that, put in place of the hidden thing, gives a picture most like the other cameras'."""
    scene = _scenes(folder)[sample["video"]]
    names = [camera.name.replace(" ", "_") for camera in scene.cameras]
    unlike = dict.fromkeys(SHAPES, 0.0)
    for view in read_views(folder / sample["side"]["views"]).cameras:
        camera = names.index(view.path.stem)
        filmed = sample_frames(view.path, 1).pixels[0].astype(float)
        for shape in SHAPES:
            solids = tuple(replace(solid, shape=shape) if solid.colour == colour else solid for solid in scene.solids)
            drawn = render(replace(scene, solids=solids), [0.0], 64, 64, camera)[0]
            unlike[shape] += float(np.abs(filmed - drawn).sum())
    return min(unlike, key=lambda shape: unlike[shape])


def test_other_cameras_answer_the_questions_of_views(sets: Path) -> None:
    _all_right(sets / "views", lambda sample: _answer_views(sets / "views", sample))


def test_other_cameras_film_the_same_time_at_a_rate_of_their_own(sets: Path) -> None:
    for film in sorted((sets / "views" / "views" / "000000").glob("*.mp4")):
        info = probe(film)
        assert info.duration_sec == pytest.approx(8.0, abs=0.01)
        assert (info.width, info.height) == (64, 64)


def _flashes(film: Path) -> list[tuple[float, str]]:
    """Seconds and colours of the frames that are lit, told by how far they are from the frame before a flash."""
    times_sec = np.arange(64) / 8
    frames = frames_at(film, times_sec + 0.01).pixels.astype(float)
    sampled = frames[(times_sec.astype(int) * 8 + 4)]
    found = []
    for time_sec, frame, calm in zip(times_sec, frames, sampled, strict=True):
        # A flash is the same light on all of the picture; whatever else comes or goes covers but a part.
        light = np.median((frame - 0.45 * calm) / 0.55, axis=(0, 1))
        if np.median(np.abs(frame - calm)) > 12:
            distances = {colour: np.abs(light - COLOURS[colour]).max() for colour in FLASH_COLOURS}
            found.append((float(time_sec), min(distances, key=lambda colour: distances[colour])))
    return found


def _answer_blink(folder: Path, sample: dict[str, Any]) -> str:
    colours = [colour for _, colour in _flashes(folder / sample["side"]["frames"])]
    question = sample["messages"][0]["content"]
    if sample["form"] == "flash_count":
        return NUMBERS[len(colours)]
    if sample["form"] == "flash_colour":
        return colours[0] if "first" in question else colours[-1]
    return next(colour for colour in colours if colour in words(question))


def test_every_frame_of_the_film_answers_the_questions_of_blink(sets: Path) -> None:
    _all_right(sets / "blink", lambda sample: _answer_blink(sets / "blink", sample))


def test_flashes_stand_in_the_film_at_their_seconds(sets: Path) -> None:
    for clip, scene in list(_scenes(sets / "blink").items())[:5]:
        expected = [(flash.onset_sec, flash.colour) for flash in scene.flashes]
        assert _flashes(sets / "blink" / clip) == expected


def test_no_bit_of_the_sampled_frames_tells_of_a_flash(sets: Path, tmp_path: Path) -> None:
    form = FilmFormat()
    on_screen = [8 * second + 4 for second in range(8)]
    for clip, scene in list(_scenes(sets / "blink").items())[:5]:
        dark = replace(scene, flashes=())
        pictures = render(dark, (np.arange(64) / 8).tolist(), 64, 64)
        sound = soundtrack(scene, form.sample_rate, np.random.default_rng(0))
        write_mp4(tmp_path / "dark.mp4", pictures, sound, form, on_screen)
        lit = sample_frames(sets / "blink" / clip, 8)
        np.testing.assert_array_equal(lit.pixels, sample_frames(tmp_path / "dark.mp4", 8).pixels)


def test_answers_of_a_set_are_balanced(sets: Path, tmp_path: Path) -> None:
    report = make(MakeConfig("blink", 400, 3, tmp_path / "set", workers=2, film=FilmFormat(16, 16)))
    counts = [sample["answer"] for sample in _samples(report.samples.parent) if sample["form"] == "flash_count"]
    assert len(counts) > 80
    for number in NUMBERS[1:]:
        assert counts.count(number) / len(counts) == pytest.approx(1 / 4, abs=0.13)
