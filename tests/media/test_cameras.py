"""Intrinsics, poses and their conventions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.errors import InputError
from pave.media.cameras import (
    CONVENTIONS,
    Convention,
    Intrinsics,
    axis_angle_rotation,
    back_project,
    pose_fault,
    pose_of,
    quaternion_rotation,
    to_camera,
    to_world,
)
from tests.media.rooms import axis_angle, quaternion, written_pose

numbers = st.floats(-3, 3, allow_nan=False)
vectors = st.tuples(numbers, numbers, numbers).map(np.array)
poses = st.builds(lambda turn, place: pose_of(axis_angle_rotation(turn), place), vectors, vectors)
cameras = st.builds(
    Intrinsics,
    st.floats(50, 900),
    st.floats(50, 900),
    st.floats(10, 90),
    st.floats(10, 70),
    st.integers(100, 2000),
    st.integers(80, 2000),
)


@settings(deadline=None, max_examples=40)
@given(poses)
def test_rotations_read_from_either_writing_are_the_same(pose):
    rotation = pose[:3, :3]
    assert pose_fault(pose) is None
    np.testing.assert_allclose(quaternion_rotation(quaternion(rotation)), rotation, atol=1e-8)
    if np.linalg.norm(rotation - np.eye(3)) > 1e-3:
        np.testing.assert_allclose(axis_angle_rotation(axis_angle(rotation)), rotation, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@settings(deadline=None, max_examples=40)
@given(pose=poses)
def test_every_convention_gives_the_same_pose_back(convention, pose):
    written = written_pose(pose, convention.poses, convention.axes)
    np.testing.assert_allclose(convention.camera_to_world(written), pose, atol=1e-9)


def test_opengl_looks_along_its_negative_z():
    ahead = to_world(np.array([0.0, 0.0, 1.0]), Convention(axes="opengl").camera_to_world(np.eye(4)))
    np.testing.assert_allclose(ahead, [0, 0, -1])


@settings(deadline=None, max_examples=40)
@given(poses, vectors)
def test_into_the_world_and_back(pose, point):
    np.testing.assert_allclose(to_camera(to_world(point, pose), pose), point, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(cameras, st.floats(0, 99), st.floats(0, 79), st.floats(0.1, 20))
def test_a_pixels_ray_projects_to_the_pixel(camera, column, row, depth):
    columns, rows = camera.project(camera.rays(np.array([column]), np.array([row])) * depth)
    assert columns[0] == pytest.approx(column, abs=1e-6)
    assert rows[0] == pytest.approx(row, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(cameras, st.floats(0.2, 4), st.floats(0, 1), st.floats(0, 1))
def test_scaled_intrinsics_look_the_same_way(camera, factor, across, down):
    width, height = max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    scaled = camera.scaled(width, height)
    before = camera.rays(np.array([across * camera.width - 0.5]), np.array([down * camera.height - 0.5]))
    after = scaled.rays(np.array([across * width - 0.5]), np.array([down * height - 0.5]))
    np.testing.assert_allclose(before, after, atol=1e-9)


def test_back_projection_by_hand():
    camera = Intrinsics(2.0, 4.0, 1.0, 0.0, 3, 2)
    pose = pose_of(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([10.0, 0, 1]))
    points = back_project(np.full((2, 3), 2.0, np.float32), camera, pose)
    np.testing.assert_allclose(points[0, 1], [12, 0, 1])
    np.testing.assert_allclose(points[1, 2], [12, -1, 0.5])


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        (None, "no pose"),
        (np.full((4, 4), -np.inf), "NaN or infinity"),
        (np.where(np.eye(4) > 0, np.nan, 0), "NaN or infinity"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), "rotation is none"),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), "rotation is none"),
        (np.zeros((4, 4)), "rotation is none"),
        (np.vstack([np.eye(4)[:3], [0, 0, 1, 1]]), "last row"),
    ],
)
def test_faults_of_poses(pose, words):
    assert words in pose_fault(pose)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fx": float("nan")}, "NaN"),
        ({"fy": -480.0}, "above 0"),
        ({"cx": 647.0}, "outside pictures of 640 x 480"),
        ({"height": 0}, "640 x 0"),
    ],
)
def test_intrinsics_that_cannot_be(changes, words):
    good = {"fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5, "width": 640, "height": 480}
    with pytest.raises(InputError, match=words):
        Intrinsics(**(good | changes))


def test_conventions_are_checked_words():
    with pytest.raises(InputError, match="did you mean 'opengl'"):
        Convention(axes="openGL")
