"""``cameras.json``: recordings of any kind, described frame by frame (the format is in the documentation, data.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pave.config import check_choices, from_dict, read_json
from pave.errors import InputError
from pave.media.cameras import Axes, Convention, Intrinsics, PoseDirection
from pave.media.rgbd import Layout, RecordingOptions, Shot

FILE_NAME = "cameras.json"


@dataclass(frozen=True)
class FrameEntry:
    """One frame of the file; what it leaves out stands at the top."""

    time_sec: float
    picture: str | None = None
    depth: str | None = None
    pose: Any = None
    video: str | None = None
    depth_unit_m: float | None = None
    intrinsics: Intrinsics | None = None
    depth_intrinsics: Intrinsics | None = None


@dataclass(frozen=True)
class CamerasFile:
    """The whole file."""

    poses: PoseDirection
    axes: Axes
    frames: list[FrameEntry]
    video: str | None = None
    depth_unit_m: float | None = None
    intrinsics: Intrinsics | None = None
    depth_intrinsics: Intrinsics | None = None

    def __post_init__(self) -> None:
        check_choices(self)


def read_cameras_file(path: Path, options: RecordingOptions) -> Layout:
    """Read a ``cameras.json``, or the one in a folder.

    Raises:
        InputError: If it is no such file, a field is missing, unknown or of another type, or its conventions are not
            those that the options name.
    """
    file = path / FILE_NAME if path.is_dir() else path
    content = from_dict(CamerasFile, read_json(file), str(file))
    for name in ("poses", "axes"):
        asked, stated = getattr(options, name), getattr(content, name)
        if asked is not None and asked != stated:
            raise InputError(f"{file}: states {name}: {stated}, the settings {asked}; correct the one that is wrong")
    if options.intrinsics is not None:
        raise InputError(f"{file}: holds its own intrinsics; leave 'intrinsics' out of the settings")
    shots = [_shot(entry, content, file, f"{file}: frames[{index}]") for index, entry in enumerate(content.frames)]
    return Layout(shots, Convention(content.poses, content.axes))


def _shot(entry: FrameEntry, content: CamerasFile, file: Path, place: str) -> Shot:
    if not math.isfinite(entry.time_sec):
        raise InputError(f"{place}: time_sec is {entry.time_sec}; give seconds on the video's clock")
    video = entry.video or content.video
    picture = entry.picture or video
    if picture is None:
        raise InputError(f"{place}: names no picture, and there is no video; give one of them")
    camera = entry.intrinsics or content.intrinsics
    if camera is None:
        raise InputError(f"{place}: has no intrinsics, nor has the top of the file; give them")
    unit_m = content.depth_unit_m if entry.depth_unit_m is None else entry.depth_unit_m
    if entry.depth is not None and unit_m is None:
        raise InputError(f"{place}: has no depth_unit_m, nor has the top of the file; 0.001 is millimetres")
    if unit_m is not None and not (unit_m > 0 and math.isfinite(unit_m)):
        raise InputError(f"{place}: depth_unit_m is {unit_m}; it must be above 0 metres, 0.001 is millimetres")
    return Shot(
        time_sec=entry.time_sec,
        picture=file.parent / picture,
        depth=None if entry.depth is None else file.parent / entry.depth,
        depth_unit_m=unit_m or 0.0,
        camera=camera,
        depth_camera=entry.depth_intrinsics or content.depth_intrinsics,
        pose=_pose(entry.pose, place),
        film=entry.picture is None,
    )


def _pose(value: Any, place: str) -> np.ndarray | None:
    if value is None:
        return None
    try:
        pose = np.array(value, np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(0)
    if pose.shape not in ((3, 4), (4, 4)):
        raise InputError(f"{place}: pose is no 4 x 4 or 3 x 4 matrix of numbers; write its rows, or null for none")
    return pose if len(pose) == 4 else np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
