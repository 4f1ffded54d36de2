"""Frames of a recording whose pictures, depth maps and poses were each stamped by a clock of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from pave.media.cameras import Intrinsics
from pave.media.rgbd import Shot
from pave.media.text_tables import nearest_in_time

Part = TypeVar("Part")
Stamped = tuple[np.ndarray, list[Part]]
"""Time stamps (n,), sorted, seconds, and what bears them."""


def shots_by_time(
    pictures: Stamped[Path],
    depths: Stamped[Path],
    poses: Stamped[np.ndarray],
    cameras: Sequence[Intrinsics],
    depth_unit_m: float,
    max_gap_sec: float,
) -> list[Shot]:
    """Return one shot a picture, with the depth and the pose nearest to it in time.

    Args:
        pictures: Pictures; times count from the first.
        depths: Depth maps with the pictures' intrinsics.
        poses: Poses (4,4).
        cameras: Intrinsics of each picture.
        depth_unit_m: Metres of one unit of a depth map.
        max_gap_sec: What is farther from a picture than this is not its own.
    """
    stamps, files = pictures
    depth_of, pose_of = (_nearest(parts, stamps, max_gap_sec) for parts in (depths, poses))
    return [
        Shot(
            time_sec=float(stamp - stamps[0]),
            picture=picture,
            depth=depth,
            depth_unit_m=depth_unit_m,
            camera=camera,
            depth_camera=None,
            pose=pose,
        )
        for stamp, picture, camera, depth, pose in zip(stamps, files, cameras, depth_of, pose_of, strict=True)
    ]


def _nearest(stamped: Stamped[Part], wanted: np.ndarray, max_gap_sec: float) -> list[Part | None]:
    stamps, parts = stamped
    return [parts[index] if index >= 0 else None for index in nearest_in_time(stamps, wanted, max_gap_sec)]
