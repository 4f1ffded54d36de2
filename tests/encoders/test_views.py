"""Other cameras as a side channel: true times under offset and drift, who is seen when, and what is drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pave.encoders import build
from pave.encoders.views_file import read_views
from pave.errors import InputError
from tests.encoders.video_models import GreyTower
from tests.media.writing import write_media

LEVELS = {"left": 60, "right": 120, "top": 180}


def flat_film(path, level, seconds, fps=10, **options):
    frames = np.full((round(seconds * fps), 32, 48, 3), level, dtype=np.uint8)
    return write_media(path, frames, fps=fps, **options)


@pytest.fixture
def film(tmp_path):
    return flat_film(tmp_path / "main.mp4", 30, 6.0)


@pytest.fixture
def cameras(tmp_path):
    """Three cameras that run with the video, of one grey each."""
    (tmp_path / "cameras").mkdir()
    for name, level in LEVELS.items():
        flat_film(tmp_path / "cameras" / f"{name}.mp4", level, 6.0)
    return tmp_path / "cameras"


def views(**settings):
    encoder = build({"type": "views", **settings})
    encoder.attach(GreyTower())
    return encoder


def listed(folder, *cameras, name="views.json"):
    path = folder / name
    path.write_text(json.dumps({"cameras": list(cameras)}))
    return path


def seen(side):
    """Which camera each step shows, by its grey."""
    greys = side.values[:, :, 0].float().mean(dim=1)
    return [min(LEVELS, key=lambda name: abs(LEVELS[name] - grey)) for grey in greys.tolist()]


def test_cameras_of_a_moment_stand_together(film, cameras):
    side = views(frame_rate=1.0).encode(cameras, film)
    assert side.times_sec.tolist() == pytest.approx(np.repeat(np.arange(6) + 0.5, 3).tolist())
    assert seen(side) == ["left", "right", "top"] * 6
    assert (side.grid, side.width) == ((2, 2), 1)


def test_a_single_file_is_one_camera(film, cameras):
    assert seen(views(frame_rate=0.5).encode(cameras / "right.mp4", film)) == ["right"] * 3


def test_cameras_that_start_late_or_end_early_have_no_steps_then(tmp_path, film):
    flat_film(tmp_path / "late.mp4", LEVELS["left"], 10.0)
    flat_film(tmp_path / "early.mp4", LEVELS["right"], 3.0)
    path = listed(tmp_path, {"path": "late.mp4", "offset_sec": 2.5}, {"path": "early.mp4", "offset_sec": -1.0})
    side = views(frame_rate=1.0).encode(path, film)
    by_camera = {name: side.times_sec[np.array(seen(side)) == name].tolist() for name in ("left", "right")}
    assert by_camera == {"left": [2.5, 3.5, 4.5, 5.5], "right": [0.5, 1.5]}


@pytest.mark.parametrize("offset_sec, drift", [(0.0, 0.0), (1.25, 0.0), (-2.1, 0.0), (0.4, 0.02), (-1.0, -0.03)])
@pytest.mark.parametrize("start_sec", [0.0, 0.7])
def test_a_flash_is_in_the_step_that_covers_it(tmp_path, film, offset_sec, drift, start_sec):
    """A second camera, of variable frame rate and with a late start in its container, sees what happens at 3.200 s."""
    flash_sec = (3.2 - offset_sec) / (1 + drift)
    gaps = np.random.default_rng(1).uniform(0.02, 0.09, 300)
    times_sec = np.concatenate([[0.0], np.cumsum(gaps)])
    times_sec = np.sort(np.append(times_sec[(times_sec < 8) & (np.abs(times_sec - flash_sec) > 0.03)], flash_sec))
    frames = np.full((len(times_sec), 32, 48, 3), 30, dtype=np.uint8)
    frames[times_sec == flash_sec] = 220
    write_media(tmp_path / "second.mp4", frames, times_sec + start_sec, fps=30)
    path = listed(tmp_path, {"path": "second.mp4", "offset_sec": offset_sec, "drift": drift})
    side = views(frame_rate=50.0).encode(path, film)
    bright = side.times_sec[side.values[:, 0, 0] > 120]
    assert abs(bright[0] - 3.2) <= 0.5 / 50 + 1e-3
    assert bright[-1] - bright[0] < 0.1


def test_drift_adds_up(tmp_path):
    """A camera that loses 2 % sees at its own 50 s what the video shows at 51 s."""
    film = flat_film(tmp_path / "main.mp4", 30, 60.0, fps=5)
    frames = np.full((290, 16, 16, 3), 30, dtype=np.uint8)
    frames[250] = 220
    write_media(tmp_path / "second.mkv", frames, fps=5)
    path = listed(tmp_path, {"path": "second.mkv", "drift": 0.02})
    side = views(frame_rate=5.0).encode(path, film)
    assert side.times_sec[side.values[:, 0, 0] > 120].tolist() == pytest.approx([51.1])


def test_a_grid_of_ones_own(film, cameras):
    side = views(frame_rate=1.0, grid=(1, 2)).encode(cameras, film)
    whole = views(frame_rate=1.0).encode(cameras, film)
    assert side.grid == (1, 2)
    torch.testing.assert_close(side.values, whole.values.unflatten(1, (2, 2)).mean(dim=1), atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match=r"left\.mp4: its frames have 2 x 2 features, fewer than grid 4 x 4"):
        views(grid=(4, 4)).encode(cameras, film)


def test_codes_tell_cameras_apart(film, cameras):
    encoder = views(frame_rate=1.0, identity=4)
    side = encoder.encode(cameras, film)
    codes = side.values[:, :, 1:]
    assert (side.width, encoder.width, encoder.tokens) == (5, 5, 4)
    assert torch.equal(codes[:3], codes[3:6]) and torch.equal(codes[0, 0], codes[0, 3])
    assert (codes[0, 0] - codes[1, 0]).norm() > 0.4 and (codes[1, 0] - codes[2, 0]).norm() > 0.4
    assert torch.equal(side.values[:, :, :1], views(frame_rate=1.0).encode(cameras, film).values)


def test_what_is_drawn_depends_on_the_draw_alone(film, cameras):
    encoder = views(frame_rate=1.0, random_views=True)
    whole = encoder.encode(cameras, film)
    assert not encoder.thins
    encoder.training = True
    assert encoder.thins and encoder.encode(cameras, film).steps == 18
    drawn = [seen(encoder.thin(whole, cameras, film, draw)) for draw in range(40)]
    again = views(frame_rate=1.0, random_views=True)
    assert [seen(again.thin(whole, cameras, film, draw)) for draw in reversed(range(40))] == drawn[::-1]
    chosen = {tuple(names[: len(names) // 6]) for names in drawn}
    assert all(names == list(names[: len(names) // 6]) * 6 for names in drawn)
    assert {len(names) for names in chosen} == {1, 2, 3}
    assert {name for names in chosen for name in names} == set(LEVELS)
    other = views(frame_rate=1.0, random_views=True, seed=1)
    assert [seen(other.thin(whole, cameras, film, draw)) for draw in range(40)] != drawn


def test_features_are_known_by_the_files_of_all_cameras(tmp_path, cameras):
    encoder = views()
    files = [cameras / f"{name}.mp4" for name in sorted(LEVELS)]
    assert encoder.sources(cameras) == files
    assert encoder.sources(files[0]) == files[:1]
    path = listed(tmp_path, {"path": "cameras/top.mp4"})
    assert encoder.sources(path) == [path, tmp_path / "cameras/top.mp4"]
    listed(cameras, {"path": "left.mp4"})
    assert encoder.sources(cameras) == [cameras / "views.json", cameras / "left.mp4"]


def test_cameras_without_a_common_moment_are_refused(tmp_path, film, cameras):
    path = listed(tmp_path, {"path": "cameras/left.mp4"}, {"path": "cameras/top.mp4", "offset_sec": 6.0})
    message = r"camera top\.mp4 runs from 6\.000 to 12\.000 s on the clock of main\.mp4, which lasts 6\.000 s"
    with pytest.raises(InputError, match=message):
        views().encode(path, film)
    path = listed(tmp_path, {"path": "cameras/left.mp4", "offset_sec": -6.0})
    with pytest.raises(InputError, match=r"runs from -6\.000 to 0\.000 s .*no moment in common; mend its offset_sec"):
        views().encode(path, film)


def test_bad_files(tmp_path, film, cameras):
    for content, message in (
        ("[]", "holds a JSON list, not an object"),
        ('{"cameras": []}', "names no cameras"),
        ('{"cameras": [{"offset_sec": 1}]}', "camera lacks 'path'"),
        ('{"cameras": [{"path": "a.mp4", "ofset_sec": 1}]}', "unknown key 'ofset_sec' .*did you mean 'offset_sec'"),
        ('{"cameras": [{"path": "a.mp4", "drift": 1.5}]}', r"camera a\.mp4: drift is 1\.5"),
        ('{"cameras": [{"path": "a.mp4", "offset_sec": NaN}]}', "offset_sec is nan"),
        ('{"cameras": [{"path": "a.mp4"}, {"path": "a.mp4"}]}', r"camera a\.mp4 is listed twice"),
    ):
        (tmp_path / "views.json").write_text(content)
        with pytest.raises(InputError, match=rf"views\.json: .*{message}"):
            read_views(tmp_path / "views.json")
    with pytest.raises(InputError, match="gone.mp4: no such file"):
        views().encode(listed(tmp_path, {"path": "gone.mp4"}), film)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: the folder is empty"):
        views().encode(tmp_path / "none", film)
    (cameras / "zero.mp4").touch()
    with pytest.raises(InputError, match=r"zero\.mp4: the file is empty"):
        views().encode(cameras, film)
    with pytest.raises(InputError, match="name the video as well"):
        views().encode(cameras)


def test_pictures_of_unlike_grids_are_refused(tmp_path, film, cameras):
    class ShapeTower(GreyTower):
        grid = None

        def features(self, frames, pooled=True):
            return frames.float().mean(1)[:, ::16, ::16, None]

    write_media(cameras / "wide.mp4", np.zeros((60, 32, 96, 3), dtype=np.uint8), fps=10)
    encoder = views()
    encoder.attach(ShapeTower())
    assert encoder.tokens is None
    with pytest.raises(InputError, match=r"wide\.mp4: its pictures give 2 x 6 features, those of left\.mp4 2 x 3"):
        encoder.encode(cameras, film)


def test_bad_settings():
    for settings, message in (
        ({"frame_rate": float("inf")}, "frame_rate is inf"),
        ({"grid": [2]}, r"grid is \[2\]"),
        ({"identity": 3}, "identity is 3; it must be an even width"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(InputError, match=message):
            build({"type": "views", **settings})
