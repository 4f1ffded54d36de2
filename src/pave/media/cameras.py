"""Pinhole cameras: intrinsics, the conventions that poses are written in, and the way from depth to points.

Inside the library a pose is camera to world with OpenCV axes (x right, y down, z forward), in metres; pixels are
counted from the centre of the top left one, as OpenCV does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pave.config import check_choices
from pave.errors import InputError

PoseDirection = Literal["camera_to_world", "world_to_camera"]
Axes = Literal["opencv", "opengl"]

SAME_SHAPE = 0.02
"""Pictures and depth whose aspect ratios differ by less than this part show the same; the rest is rounding."""

ORTHONORMAL = 1e-2
"""How far a rotation times its transpose may be from the identity; files hold three digits at worst."""

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole without distortion.

    Args:
        fx: Focal length in pixels across.
        fy: Focal length in pixels down.
        cx: Column where the optical axis meets the picture.
        cy: Row where the optical axis meets the picture.
        width: Of the pictures that these numbers are for, pixels.
        height: Of the same.

    Raises:
        InputError: If a number is not finite, a focal length or size not above 0, or the axis misses the picture.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"intrinsics are for {self.width} x {self.height} pixels; give the size of the pictures")
        if not all(math.isfinite(value) for value in (self.fx, self.fy, self.cx, self.cy)):
            raise InputError("intrinsics hold NaN or infinity; give fx, fy, cx and cy in pixels")
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(f"intrinsics have focal lengths {self.fx:g} and {self.fy:g}; they must be above 0 pixels")
        if not (-0.5 < self.cx < self.width - 0.5 and -0.5 < self.cy < self.height - 0.5):
            raise InputError(
                f"intrinsics have their centre at ({self.cx:g}, {self.cy:g}), outside pictures of "
                f"{self.width} x {self.height} pixels; give the intrinsics of pictures of that size"
            )

    @property
    def matrix(self) -> np.ndarray:
        """The calibration matrix K (3,3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def shows_the_same_at(self, width: int, height: int) -> bool:
        """Whether pictures of another size can show the same view, told by their aspect ratio."""
        return abs(width * self.height / (height * self.width) - 1) <= SAME_SHAPE

    def scaled(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the same view in pictures of another size."""
        across, down = width / self.width, height / self.height
        return Intrinsics(
            self.fx * across,
            self.fy * down,
            (self.cx + 0.5) * across - 0.5,
            (self.cy + 0.5) * down - 0.5,
            width,
            height,
        )

    def rays(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the points at depth 1 (…,3), in the camera's frame, that pixels (…) look at."""
        x = (np.asarray(columns, np.float64) - self.cx) / self.fx
        y = (np.asarray(rows, np.float64) - self.cy) / self.fy
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and rows (…) where points (…,3) of the camera's frame fall; their z must not be 0."""
        depth = points[..., 2]
        return points[..., 0] / depth * self.fx + self.cx, points[..., 1] / depth * self.fy + self.cy


@dataclass(frozen=True)
class Convention:
    """How a file writes its poses.

    Args:
        poses: What a pose does to a point.
        axes: Of a camera: ``opencv`` (x right, y down, z forward) or ``opengl`` (x right, y up, z backward).

    Raises:
        InputError: On another word.
    """

    poses: PoseDirection = "camera_to_world"
    axes: Axes = "opencv"

    def __post_init__(self) -> None:
        check_choices(self)

    def __str__(self) -> str:
        return f"poses: {self.poses}, axes: {self.axes}"

    def camera_to_world(self, pose: np.ndarray) -> np.ndarray:
        """Return a pose (4,4) of this convention as camera to world with OpenCV axes."""
        turned = pose if self.poses == "camera_to_world" else np.linalg.inv(pose)
        return turned if self.axes == "opencv" else turned @ _FLIP


CONVENTIONS = tuple(
    Convention(poses, axes) for poses in ("camera_to_world", "world_to_camera") for axes in ("opencv", "opengl")
)
"""All of them."""


def pose_fault(pose: np.ndarray | None) -> str | None:
    """Return what is wrong with a pose (4,4), in a few words, or ``None``."""
    if pose is None:
        return "no pose"
    if not np.isfinite(pose).all():
        return "pose with NaN or infinity"
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > ORTHONORMAL or np.linalg.det(rotation) < 0:
        return "pose whose rotation is none"
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > ORTHONORMAL:
        return "pose whose last row is not 0 0 0 1"
    return None


def pose_of(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return the pose (4,4) of a rotation (3,3) and a translation (3,)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def quaternion_rotation(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation (3,3) of a quaternion (x, y, z, w); one that is not of unit length gives none."""
    x, y, z, w = quaternion
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), w * w - x * x + y * y - z * z, 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), w * w - x * x - y * y + z * z],
        ]
    )


def axis_angle_rotation(axis_angle: np.ndarray) -> np.ndarray:
    """Return the rotation (3,3) about an axis (3,) by its length in radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(axis_angle))
    if angle == 0:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def to_world(points: np.ndarray, camera_to_world: np.ndarray) -> np.ndarray:
    """Return points (…,3) of a camera's frame in the world's."""
    return points @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]


def to_camera(points: np.ndarray, camera_to_world: np.ndarray) -> np.ndarray:
    """Return points (…,3) of the world's frame in a camera's."""
    return (points - camera_to_world[:3, 3]) @ camera_to_world[:3, :3]


def back_project(depth_m: np.ndarray, camera: Intrinsics, camera_to_world: np.ndarray) -> np.ndarray:
    """Return the world's point (H,W,3) behind each pixel of depth along the optical axis (H,W).

    Where there is no depth (0) the point is the camera's own place; look at the depth to tell.
    """
    rows, columns = np.indices(depth_m.shape)
    return to_world(camera.rays(columns, rows) * depth_m[..., None].astype(np.float64), camera_to_world)
