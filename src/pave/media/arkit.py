"""Folders like those of ARKitScenes: frames named by time stamp, intrinsics a frame, and one trajectory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.cameras import Convention, Intrinsics, axis_angle_rotation, pose_of
from pave.media.depth import picture_size
from pave.media.rgbd import Layout, RecordingOptions
from pave.media.text_tables import nearest_in_time, numbers, read_rows
from pave.media.timed_shots import shots_by_time

UNIT_M = 0.001
PICTURE_FOLDERS = ("lowres_wide", "vga_wide", "wide")
DEPTH_FOLDERS = ("lowres_depth", "highres_depth")


def read_arkit(folder: Path, options: RecordingOptions) -> Layout:
    """Read a scan; times count from its first picture, poses are world to camera with OpenCV axes.

    Raises:
        InputError: If a part is missing or cannot be read.
    """
    place = next((folder / name for name in PICTURE_FOLDERS if (folder / name).is_dir()), folder / PICTURE_FOLDERS[0])
    stamps, pictures = _stamped(place, (".png", ".jpg"))
    if not pictures:
        raise InputError(f"{place}: holds no pictures named <scan>_<seconds>.png; copy the scan's pictures")
    depth_folder = next((folder / name for name in DEPTH_FOLDERS if (folder / name).is_dir()), None)
    depths = _stamped(depth_folder, (".png",)) if depth_folder else (np.zeros(0), [])
    poses = _trajectory(folder)
    cameras = _cameras(folder, place, stamps, pictures, options)
    shots = shots_by_time((stamps, pictures), depths, poses, cameras, UNIT_M, options.max_gap_sec)
    return Layout(shots, Convention("world_to_camera"))


def _stamped(folder: Path, suffixes: tuple[str, ...]) -> tuple[np.ndarray, list[Path]]:
    """Return time stamps (F,) and files, in order, of the files in a folder named ``<scan>_<seconds>``."""
    found = []
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.suffix.lower() in suffixes:
            found.append((_stamp(file), file))
    found.sort()
    return np.array([stamp for stamp, _ in found], np.float64), [file for _, file in found]


def _stamp(file: Path) -> float:
    try:
        stamp = float(file.stem.rsplit("_", 1)[-1])
    except ValueError:
        stamp = math.nan
    if not math.isfinite(stamp):
        raise InputError(f"{file}: names no time; files are called <scan>_<seconds>{file.suffix}")
    return stamp


def _trajectory(folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    files = sorted(folder.glob("*.traj"))
    if len(files) != 1:
        raise InputError(f"{folder}: holds {len(files)} trajectories (*.traj); a scan has one")
    rows = [numbers(row, files[0]) for row in read_rows(files[0])]
    if any(len(row) != 7 for row in rows):
        raise InputError(f"{files[0]}: every line is a time stamp, axis times angle, and translation; copy it again")
    rows.sort(key=lambda row: row[0])
    poses = [pose_of(axis_angle_rotation(row[1:4]), row[4:7]) for row in rows]
    return np.array([row[0] for row in rows], np.float64), poses


def _cameras(
    folder: Path, place: Path, stamps: np.ndarray, pictures: list[Path], options: RecordingOptions
) -> list[Intrinsics]:
    if options.intrinsics is not None:
        return [Intrinsics(*options.intrinsics, *picture_size(pictures[0]))] * len(pictures)
    home = folder / f"{place.name}_intrinsics"
    known, files = _stamped(home, (".pincam",))
    if not files:
        raise InputError(f"{home}: holds no intrinsics named <scan>_<seconds>.pincam; copy them, or set 'intrinsics'")
    # The lens is refocused slowly: the nearest file's numbers hold, however far.
    return [_pincam(files[index]) for index in nearest_in_time(known, stamps, np.inf)]


def _pincam(file: Path) -> Intrinsics:
    values = numbers([word for row in read_rows(file) for word in row], file)
    if values.size != 6 or not np.isfinite(values).all():
        raise InputError(f"{file}: holds {values.size} numbers; intrinsics are width, height, fx, fy, cx and cy")
    width, height, fx, fy, cx, cy = values.tolist()
    try:
        return Intrinsics(fx, fy, cx, cy, round(width), round(height))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
