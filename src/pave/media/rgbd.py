"""What an RGB-D recording is made of: where the parts of its frames lie, and a frame once it is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pave.errors import InputError, nearest
from pave.media.cameras import Axes, Convention, Intrinsics, PoseDirection

LAYOUTS = ("cameras", "scannet", "tum", "arkit")
"""Names of the known layouts."""


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording is read.

    Args:
        layout: Name of the layout, told from what the folder holds by default.
        poses: What a pose does to a point; by default as the layout has it.
        axes: Of a camera; by default as the layout has them.
        intrinsics: ``(fx, fy, cx, cy)`` of the pictures, for layouts that hold none.
        frames_per_sec: For layouts whose frames are numbered instead of timed.
        max_gap_sec: How far apart in time a picture may be from its depth and its pose.
        offset_sec: Added to the times of a recording that was made apart from the video.

    Raises:
        InputError: On a value out of range.
    """

    layout: str | None = None
    poses: PoseDirection | None = None
    axes: Axes | None = None
    intrinsics: tuple[float, ...] | None = None
    frames_per_sec: float = 30.0
    max_gap_sec: float = 0.02
    offset_sec: float = 0.0

    def __post_init__(self) -> None:
        Convention(self.poses or "camera_to_world", self.axes or "opencv")
        if self.layout is not None and self.layout not in LAYOUTS:
            listed = ", ".join(LAYOUTS)
            raise InputError(f"layout is {self.layout!r}; choose from {listed}{nearest(self.layout, LAYOUTS)}")
        if self.intrinsics is not None and len(self.intrinsics) != 4:
            raise InputError(f"intrinsics are {list(self.intrinsics)}; give four numbers, fx, fy, cx, cy")
        if not (self.frames_per_sec > 0 and math.isfinite(self.frames_per_sec)):
            raise InputError(f"frames_per_sec is {self.frames_per_sec}; it must be above 0")
        if not (self.max_gap_sec >= 0 and math.isfinite(self.max_gap_sec)):
            raise InputError(f"max_gap_sec is {self.max_gap_sec}; it must be 0 or more seconds")
        if not math.isfinite(self.offset_sec):
            raise InputError(f"offset_sec is {self.offset_sec}; it must be a number of seconds")


@dataclass(frozen=True, slots=True)
class Shot:
    """Where the parts of one frame lie; nothing is decoded yet.

    Args:
        time_sec: On the video's clock.
        picture: Picture file, or the film that shows it at ``time_sec``.
        depth: Depth file, or ``None`` if there is none.
        depth_unit_m: Metres of one unit of the depth file.
        camera: Intrinsics of the picture.
        depth_camera: Intrinsics of the depth file, ``None`` where they are the picture's.
        pose: As the file has it (4,4), or ``None`` if there is none.
        film: Whether ``picture`` is a film.
    """

    time_sec: float
    picture: Path
    depth: Path | None
    depth_unit_m: float
    camera: Intrinsics
    depth_camera: Intrinsics | None
    pose: np.ndarray | None
    film: bool = False


@dataclass(frozen=True)
class Layout:
    """What a layout's reader found.

    Args:
        shots: One a picture, in any order.
        convention: Of the poses.
        alignment: Applied to the world after every pose (4,4).
    """

    shots: list[Shot]
    convention: Convention = Convention()
    alignment: np.ndarray | None = None


@dataclass(frozen=True)
class RgbdFrame:
    """One decoded frame.

    Args:
        time_sec: On the video's clock.
        pixels: RGB uint8 (H,W,3).
        depth_m: Depth along the optical axis, float32 (h,w), metres, 0 where there is none; ``None`` without a file.
        camera: Intrinsics of the picture, for its size.
        depth_camera: Intrinsics of the depth map, for its size.
        camera_to_world: Pose (4,4), OpenCV axes, metres.
        stated_pose: The pose as the file has it (4,4).
        source: The picture's file, for error messages.
    """

    time_sec: float
    pixels: np.ndarray
    depth_m: np.ndarray | None
    camera: Intrinsics
    depth_camera: Intrinsics
    camera_to_world: np.ndarray
    stated_pose: np.ndarray
    source: Path
