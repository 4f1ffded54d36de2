"""Neighbouring views agree under the poses' own convention, and say so loudly under any other."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pave.errors import InputError
from pave.media.cameras import CONVENTIONS, Convention, back_project, to_camera
from pave.media.consistency import ConsistencyCheck
from pave.media.recording import open_recording
from pave.media.rgbd import RecordingOptions
from tests.media.rooms import LAYOUTS, edit_cameras, six_views, write_cameras

VIEWS = six_views()


def checked(folder: Path, options: RecordingOptions | None = None) -> ConsistencyCheck:
    recording = open_recording(folder, options)
    check = ConsistencyCheck(recording.convention)
    for frame in recording.frames():
        check.add(frame)
    return check


def test_points_of_six_cameras_agree_within_one_percent_of_depth(tmp_path):
    frames = list(open_recording(write_cameras(tmp_path / "room", six_views(320, 240))).frames())
    compared = 0
    for one in frames:
        points = back_project(one.depth_m, one.depth_camera, one.camera_to_world)[one.depth_m > 0]
        for other in frames:
            if other is one:
                continue
            seen_depth, expected = looked_up(points, other)
            # Farther than what the other camera saw there means hidden from it; nearer would be a contradiction.
            visible = expected < seen_depth * 1.03
            error = np.abs(expected[visible] - seen_depth[visible]) / seen_depth[visible]
            compared += visible.sum()
            assert np.mean(error < 0.01) > 0.99
            assert np.median(error) < 0.001
    assert compared > 100_000


def looked_up(points, frame):
    """Depth that a frame saw on a surface where points fall, and the points' own; edges of things are left out."""
    inside = to_camera(points, frame.camera_to_world)
    inside = inside[inside[:, 2] > 0.1]
    columns, rows = frame.depth_camera.project(inside)
    shown = (columns > 1) & (columns < 318) & (rows > 1) & (rows < 238)
    columns, rows, expected = columns[shown], rows[shown], inside[shown, 2]
    left, top = np.floor(columns).astype(int), np.floor(rows).astype(int)
    corners = np.stack([frame.depth_m[top + i, left + j] for i in (0, 1) for j in (0, 1)])
    across, down = columns - left, rows - top
    weights = np.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across])
    smooth = (corners.min(0) > 0) & (corners.max(0) < 1.02 * corners.min(0))
    # One over depth is linear in the picture on a plane.
    between = 1 / (weights[:, smooth] / corners[:, smooth]).sum(0)
    return between, expected[smooth]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layouts_own_convention_passes(tmp_path, name):
    folder = LAYOUTS[name](tmp_path / name, VIEWS)
    options = RecordingOptions(intrinsics=VIEWS[0].intrinsics if name == "tum" else None)
    check = checked(folder, options)
    assert check.agreement() > 0.98
    check.require(folder, 0.9)


@pytest.mark.parametrize("true", CONVENTIONS, ids=str)
@pytest.mark.parametrize("stated", CONVENTIONS, ids=str)
def test_a_wrong_convention_fails_and_names_the_right_one(tmp_path, true, stated):
    folder = write_cameras(tmp_path / "room", VIEWS, true.poses, true.axes)
    edit_cameras(folder, poses=stated.poses, axes=stated.axes)
    check = checked(folder)
    if stated == true:
        check.require(folder, 0.5)
        return
    with pytest.raises(InputError) as error:
        check.require(folder, 0.5)
    assert f"read as '{true}' they agree in" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["scannet", "arkit"])
def test_a_wrong_convention_in_the_settings_fails_too(tmp_path, name):
    folder = LAYOUTS[name](tmp_path / name, VIEWS)
    for wrong in CONVENTIONS:
        own = Convention("world_to_camera" if name == "arkit" else "camera_to_world")
        if wrong != own:
            with pytest.raises(InputError, match=f"read as '{own}'"):
                checked(folder, RecordingOptions(poses=wrong.poses, axes=wrong.axes)).require(folder, 0.5)


def test_a_wrong_unit_fails_without_blaming_the_convention(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    edit_cameras(folder, depth_unit_m=0.0002)
    with pytest.raises(InputError, match="correct poses, intrinsics or depth_unit_m"):
        checked(folder).require(folder, 0.9)


def test_views_that_share_nothing_cannot_be_checked(tmp_path, caplog):
    folder = write_cameras(tmp_path / "room", VIEWS[:2])
    far = VIEWS[1].pose.copy()
    far[:3, 3] += [500, 500, 0]
    edit_cameras(folder, frames={1: {"pose": far.tolist()}})
    with caplog.at_level(logging.WARNING):
        check = checked(folder)
        check.require(folder, 0.5)
    assert check.agreement() is None
    assert "do not overlap" in caplog.text


def test_frames_without_depth_are_passed_over(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    for index in (1, 3):
        (folder / "depth" / f"{index:03}.png").write_bytes(
            (write_cameras(tmp_path / f"empty{index}", [blind(VIEWS[0])]) / "depth" / "000.png").read_bytes()
        )
    assert checked(folder).agreement() > 0.98


def blind(view):
    return replace(view, depth_m=np.zeros_like(view.depth_m))
