"""The layout of the TUM RGB-D benchmark: lists of time-stamped pictures, depth maps and poses."""

from __future__ import annotations

import os.path
from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.cameras import Convention, Intrinsics, pose_of, quaternion_rotation
from pave.media.depth import picture_size
from pave.media.rgbd import Layout, RecordingOptions
from pave.media.text_tables import numbers, read_rows
from pave.media.timed_shots import shots_by_time

UNIT_M = 1 / 5000
SIZE = (640, 480)
INTRINSICS = (525.0, 525.0, 319.5, 239.5)
"""Which the benchmark advises for its 640 x 480 pictures, as its folders hold none."""


def read_tum(folder: Path, options: RecordingOptions) -> Layout:
    """Read a sequence; times count from its first picture, poses are camera to world with OpenCV axes.

    Raises:
        InputError: If a list is missing or cannot be read, or pictures of another size come without intrinsics.
    """
    pictures = _files(folder / "rgb.txt")
    depths = _files(folder / "depth.txt") if (folder / "depth.txt").exists() else (np.zeros(0), [])
    poses = _poses(folder / "groundtruth.txt")
    cameras = [_camera(folder, pictures[1], options)] * len(pictures[1])
    shots = shots_by_time(pictures, depths, poses, cameras, UNIT_M, options.max_gap_sec)
    return Layout(shots, Convention())


def _files(list_file: Path) -> tuple[np.ndarray, list[Path]]:
    rows = read_rows(list_file)
    if not rows or any(len(row) != 2 for row in rows):
        raise InputError(f"{list_file}: every line is a time stamp and a file's name; copy the list again")
    stamps = numbers([row[0] for row in rows], list_file)
    order = _in_order(stamps, list_file)
    return stamps[order], [list_file.parent / rows[index][1] for index in order]


def _poses(file: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    rows = [numbers(row, file) for row in read_rows(file)]
    if any(len(row) != 8 for row in rows):
        raise InputError(f"{file}: every line is a time stamp, tx ty tz and qx qy qz qw; copy the list again")
    stamps = np.array([row[0] for row in rows])
    order = _in_order(stamps, file)
    return stamps[order], [pose_of(quaternion_rotation(rows[index][4:]), rows[index][1:4]) for index in order]


def _in_order(stamps: np.ndarray, file: Path) -> np.ndarray:
    if not np.isfinite(stamps).all():
        raise InputError(f"{file}: a time stamp is NaN or infinite; copy the list again")
    return np.argsort(stamps, kind="stable")


def _camera(folder: Path, pictures: list[Path], options: RecordingOptions) -> Intrinsics:
    there = next((picture for picture in pictures if os.path.isfile(picture)), None)
    if there is None:
        raise InputError(f"{folder}: not one picture of rgb.txt is there; copy the pictures, too")
    size = picture_size(there)
    if options.intrinsics is None and size != SIZE:
        raise InputError(
            f"{folder}: pictures of {size[0]} x {size[1]} are not the benchmark's own; set "
            "'intrinsics' to [fx, fy, cx, cy]"
        )
    return Intrinsics(*(options.intrinsics or INTRINSICS), *size)
