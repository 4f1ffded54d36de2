"""Every layout gives back what was recorded, at its true time; what cannot be used is counted."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pave.errors import InputError
from pave.media.cameras import Convention, Intrinsics
from pave.media.recording import READERS, Recording, open_recording
from pave.media.rgbd import LAYOUTS as LAYOUT_NAMES
from pave.media.rgbd import Layout, RecordingOptions, Shot
from tests.media.rooms import (
    HEIGHT,
    LAYOUTS,
    WIDTH,
    edit_cameras,
    six_views,
    write_arkit,
    write_cameras,
    write_scannet,
    write_tum,
)
from tests.media.writing import grey_frames, grey_levels, write_media

VIEWS = six_views()
OPTIONS = {"tum": RecordingOptions(intrinsics=VIEWS[0].intrinsics)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("recordings")
    return {name: write(home / name, VIEWS) for name, write in LAYOUTS.items()}


def test_every_layout_has_a_reader():
    assert set(READERS) == set(LAYOUT_NAMES) == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_back_what_was_recorded(folders, name):
    recording = open_recording(folders[name], OPTIONS.get(name))

    assert len(recording) == 6 and not recording.skipped
    assert recording.times_sec == pytest.approx(range(6), abs=1e-5)
    for view, frame in zip(VIEWS, recording.frames(), strict=True):
        assert frame.time_sec == pytest.approx(view.time_sec, abs=1e-5)
        np.testing.assert_allclose(frame.camera_to_world, view.pose, atol=2e-4)
        np.testing.assert_allclose(frame.depth_m, view.depth_m, atol=6e-4)
        assert np.abs(frame.pixels.astype(int) - view.picture).mean() < 6
        fx, fy, cx, cy = view.intrinsics
        np.testing.assert_allclose(frame.camera.matrix, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], atol=1e-3)
        assert frame.depth_camera.matrix == pytest.approx(frame.camera.matrix, abs=1e-3)


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_is_decoded_before_it_is_asked_for(folders, name, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "pave.media.recording.read_depth", lambda path, unit_m: decoded.append(path) or np.ones((72, 96))
    )
    recording = open_recording(folders[name], OPTIONS.get(name))
    frames = recording.frames([1, 4])
    assert decoded == []
    next(frames)
    assert len(decoded) == 1
    assert len(recording.files([1, 4])) == 4


def test_the_file_itself_may_be_named(folders):
    assert len(open_recording(folders["cameras"] / "cameras.json")) == 6


def test_an_offset_moves_all_times(folders):
    recording = open_recording(folders["scannet"], RecordingOptions(offset_sec=2.5))
    assert recording.times_sec == pytest.approx(np.arange(6) + 2.5)


def test_frames_before_the_videos_start_are_counted(folders, caplog):
    recording = open_recording(folders["scannet"], RecordingOptions(offset_sec=-1.5))
    assert recording.times_sec == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert recording.skipped == {"before the video's start": 2}
    assert "2 of 6 frames skipped (2 before the video's start)" in caplog.text


def test_numbered_frames_run_at_the_rate_that_is_said(folders):
    recording = open_recording(folders["scannet"], RecordingOptions(frames_per_sec=15))
    assert recording.times_sec == pytest.approx(np.arange(6) * 2)


def test_unusable_frames_are_skipped_and_counted(tmp_path, caplog):
    folder = write_scannet(tmp_path / "scene", VIEWS)
    np.savetxt(folder / "pose" / "0.txt", np.full((4, 4), -np.inf))
    np.savetxt(folder / "pose" / "30.txt", np.diag([1.0, 2.0, 1.0, 1.0]))
    (folder / "pose" / "60.txt").unlink()
    (folder / "depth" / "90.png").unlink()

    with caplog.at_level(logging.WARNING):
        recording = open_recording(folder)

    assert recording.times_sec.tolist() == [4, 5]
    assert recording.skipped == {
        "with pose with NaN or infinity": 1,
        "with pose whose rotation is none": 1,
        "with no pose": 1,
        "without depth": 1,
    }
    assert "4 of 6 frames skipped" in caplog.text
    assert len(open_recording(folder, needs_depth=False)) == 3, "depth can be estimated, a pose cannot"


def test_a_recording_without_a_usable_frame_is_refused(tmp_path):
    folder = write_scannet(tmp_path / "scene", VIEWS)
    for file in (folder / "pose").iterdir():
        np.savetxt(file, np.full((4, 4), np.nan))
    with pytest.raises(InputError, match=r"none of 6 frames can be used \(6 with pose with NaN or infinity\)"):
        open_recording(folder)


@pytest.mark.parametrize("value", ["ninety-six", "96.5", ""])
def test_sizes_of_a_scene_that_are_no_numbers_are_said(tmp_path, value):
    folder = write_scannet(tmp_path / "scene", VIEWS)
    (folder / "scene.txt").write_text(f"colorWidth = {value}\ncolorHeight = 72\n")
    with pytest.raises(InputError, match=rf"scene\.txt: colorWidth is '{value}', not a number of pixels"):
        open_recording(folder)


@pytest.mark.parametrize("stamp", ["nan", "inf", "noon"])
def test_pictures_named_by_no_time_are_said(tmp_path, stamp):
    folder = write_arkit(tmp_path / "scan", VIEWS)
    picture = next((folder / "lowres_wide").iterdir())
    picture.rename(picture.with_name(f"scan_{stamp}.png"))
    with pytest.raises(InputError, match=rf"scan_{stamp}\.png: names no time; files are called"):
        open_recording(folder)


def test_names_too_long_for_any_file_are_missing_files(tmp_path):
    name = "long" * 100
    with pytest.raises(InputError, match="no such folder or file"):
        open_recording(tmp_path / name)
    tum = write_tum(tmp_path / "sequence", VIEWS)
    rows = (tum / "rgb.txt").read_text().splitlines()
    (tum / "rgb.txt").write_text("\n".join([*rows[:-1], f"{rows[-1].split()[0]} {name}"]))
    cameras = write_cameras(tmp_path / "cameras", VIEWS)
    edit_cameras(cameras, frames={5: {"picture": name}})
    for folder, layout in ((tum, "tum"), (cameras, "cameras")):
        assert open_recording(folder, OPTIONS.get(layout)).skipped == {"without a picture": 1}


def test_stamps_too_far_apart_do_not_belong_together(tmp_path):
    folder = write_tum(tmp_path / "sequence", VIEWS)
    options = RecordingOptions(intrinsics=VIEWS[0].intrinsics, max_gap_sec=0.005)
    with pytest.raises(InputError, match="6 without depth"):
        open_recording(folder, options)
    assert len(open_recording(folder, options, needs_depth=False)) == 6, "poses are 4 ms apart, depth 7 ms"


def test_tum_pictures_of_another_size_need_intrinsics(folders):
    with pytest.raises(InputError, match="96 x 72 are not the benchmark's own; set 'intrinsics'"):
        open_recording(folders["tum"])


def test_tums_own_pictures_have_the_benchmarks_intrinsics(tmp_path):
    folder = write_tum(tmp_path / "sequence", six_views(640, 480)[:2])
    frame = next(open_recording(folder).frames())
    assert frame.camera == Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480)


def test_axis_alignment_and_sizes_beside_a_scannet_scene(tmp_path):
    folder = write_scannet(tmp_path / "scene0000_00", VIEWS)
    alignment = np.array([[0.0, -1, 0, 3], [1, 0, 0, -2], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    facts = ["axisAlignment = " + " ".join(map(str, alignment.ravel())), "colorWidth = 192", "colorHeight = 144"]
    (folder / "scene0000_00.txt").write_text("\n".join(facts))
    frame = next(open_recording(folder).frames())
    np.testing.assert_allclose(frame.camera_to_world, alignment @ VIEWS[0].pose, atol=1e-5)
    assert frame.camera.fx == pytest.approx(VIEWS[0].intrinsics[0] / 2, rel=1e-4), "pictures are half of what it says"


def test_intrinsics_of_other_pictures_are_refused(tmp_path):
    folder = write_scannet(tmp_path / "scene", VIEWS)
    matrix = np.diag([1170.0, 1170.0, 1.0, 1.0])
    matrix[:2, 2] = 647, 483
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", matrix)
    with pytest.raises(InputError, match=r"intrinsic_color\.txt: .* outside pictures of 96 x 72"):
        open_recording(folder)


def test_depth_of_another_size_has_scaled_intrinsics(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    small = six_views(48, 36)[0]
    Image.fromarray(np.round(small.depth_m * 1000).astype(np.uint16)).save(folder / "depth" / "000.png")
    frame = next(open_recording(folder).frames())
    assert frame.depth_m.shape == (36, 48)
    fx, _, cx, _ = small.intrinsics
    assert (frame.depth_camera.fx, frame.depth_camera.cx) == pytest.approx((fx, cx))


def test_depth_of_another_shape_is_refused(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    Image.fromarray(np.ones((60, 60), np.uint16)).save(folder / "depth" / "000.png")
    with pytest.raises(InputError, match=r"000\.png: has 60 x 60 pixels, its intrinsics are for 96 x 72"):
        next(open_recording(folder).frames())
    own = {"fx": 50.0, "fy": 50.0, "cx": 29.5, "cy": 29.5, "width": 60, "height": 60}
    edit_cameras(folder, frames={0: {"depth_intrinsics": own}})
    assert next(open_recording(folder).frames()).depth_camera == Intrinsics(**own)


def test_pictures_may_be_frames_of_a_film(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    write_media(folder / "film.mp4", grey_frames(60, HEIGHT, WIDTH), fps=10)
    changes = {index: {"picture": None, "time_sec": 0.25 + index * 0.6} for index in range(6)}
    edit_cameras(folder, video="film.mp4", frames=changes)

    recording = open_recording(folder)
    shown = [frame.pixels.mean() for frame in recording.frames()]

    assert shown == pytest.approx(grey_levels(22)[[2, 8, 14, 20, 26 - 22, 32 - 22]], abs=3)
    assert recording.files([0, 1])[-1].name == "film.mp4"
    with pytest.raises(InputError, match="leave offset_sec out"):
        open_recording(folder, RecordingOptions(offset_sec=1.0))


def test_conventions_that_contradict_the_file_are_refused(folders):
    with pytest.raises(InputError, match="states axes: opencv, the settings opengl"):
        open_recording(folders["cameras"], RecordingOptions(axes="opengl"))
    asked = open_recording(folders["scannet"], RecordingOptions(poses="world_to_camera"))
    assert asked.convention == Convention("world_to_camera", "opencv")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": "left"}, "axes is 'left'"),
        ({"unit": 1}, "unknown key 'unit'"),
        ({"depth_unit_m": None}, "frames[0]: has no depth_unit_m"),
        ({"depth_unit_m": 0.0}, "depth_unit_m is 0.0"),
        ({"intrinsics": None}, "frames[0]: has no intrinsics"),
        ({"frames": {2: {"pose": [[1, 2], [3, 4]]}}}, "frames[2]: pose is no 4 x 4"),
        ({"frames": {2: {"pose": "up"}}}, "frames[2]: pose is no 4 x 4"),
        ({"frames": {1: {"picture": None}}}, "frames[1]: names no picture"),
        ({"frames": {1: {"time_sec": float("nan")}}}, "frames[1]: time_sec is nan"),
        ({"frames": {1: {"time": 1.0}}}, "unknown key 'time'"),
    ],
)
def test_mistakes_in_cameras_json_are_placed(tmp_path, changes, words):
    folder = write_cameras(tmp_path / "room", VIEWS)
    edit_cameras(folder, **changes)
    with pytest.raises(InputError) as error:
        open_recording(folder)
    assert words in str(error.value) and "cameras.json" in str(error.value)


def test_poses_of_three_rows_and_missing_ones(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    edit_cameras(folder, frames={0: {"pose": VIEWS[0].pose[:3].tolist()}, 1: {"pose": None}, 2: {"depth": None}})
    recording = open_recording(folder)
    assert recording.skipped == {"with no pose": 1, "without depth": 1}
    np.testing.assert_allclose(next(recording.frames()).camera_to_world, VIEWS[0].pose)


def test_other_folders_are_no_recordings(tmp_path):
    with pytest.raises(InputError, match="no recording in a known layout"):
        open_recording(tmp_path)
    with pytest.raises(InputError, match="no such folder or file"):
        open_recording(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "file", "text", "words"),
    [
        ("tum", "groundtruth.txt", "1 2 3", "tx ty tz"),
        ("tum", "rgb.txt", "1305031102.17 rgb/a.png more", "a time stamp and a file's name"),
        ("tum", "groundtruth.txt", "", "0 bytes"),
        ("scannet", "pose/0.txt", "1 2 3", "a matrix of 4 x 4 has 16"),
        ("scannet", "pose/0.txt", "one two", "numbers only"),
        ("arkit", "lowres_wide.traj", "1 2 3", "axis times angle"),
        ("arkit", "lowres_wide_intrinsics/a_305.377.pincam", "256 192 200", "width, height, fx"),
        ("arkit", "lowres_wide/scan_last.png", "x", "names no time"),
    ],
)
def test_damaged_descriptions_are_named(tmp_path, name, file, text, words):
    folder = LAYOUTS[name](tmp_path / name, VIEWS)
    for old in folder.glob("lowres_wide_intrinsics/*") if "pincam" in file else ():
        old.unlink()
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=words) as error:
        open_recording(folder, OPTIONS.get(name))
    assert file in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "scanet"}, "did you mean 'scannet'"),
        ({"poses": "c2w"}, "poses is 'c2w'"),
        ({"intrinsics": (1.0, 2.0)}, "four numbers"),
        ({"frames_per_sec": 0.0}, "frames_per_sec"),
        ({"max_gap_sec": -1.0}, "max_gap_sec"),
        ({"offset_sec": float("inf")}, "offset_sec"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(InputError, match=words):
        RecordingOptions(**options)


def test_evenly_takes_the_frames_at_the_middle_of_equal_parts(folders):
    recording = open_recording(folders["scannet"])
    assert recording.evenly(2) == [1, 4]
    assert recording.evenly(3) == [1, 3, 5]
    assert recording.evenly(6) == recording.evenly(40) == list(range(6))


def test_cameras_of_one_instant_stay_together():
    rig = recording_at([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert rig.evenly(6) == [3, 4, 5, 9, 10, 11]
    assert rig.evenly(100) == list(range(12))
    assert recording_at([2, 2, 2]).evenly(2) == [0, 1, 2]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=40, unique=True), st.integers(1, 60))
def test_evenly_names_frames_once_and_in_order(times, count):
    recording = recording_at([time / 10 for time in times])
    chosen = recording.evenly(count)
    assert chosen == sorted(set(chosen))
    assert 1 <= len(chosen) <= min(count, len(times))
    assert all(0 <= index < len(times) for index in chosen)


def recording_at(times_sec):
    camera = Intrinsics(100.0, 100.0, 48.0, 36.0, 96, 72)
    here = Path(__file__)
    return Recording(here, Layout([Shot(time, here, here, 0.001, camera, None, np.eye(4)) for time in times_sec]))
