"""Other cameras beside a video: which files they are, and how each camera's clock runs against the video's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pave.config import from_dict, read_json
from pave.errors import InputError

VIEWS_FILE = "views.json"

MOST_DRIFT = 0.1
"""Clocks that run further apart than this do not show the same moments; the number was meant otherwise."""


@dataclass(frozen=True)
class Camera:
    """A camera, and when it runs on the video's clock: its second s is the video's ``offset_sec + s * (1 + drift)``.

    Args:
        path: Its video file, relative to the folder of ``views.json``.
        offset_sec: When it starts; positive where it was started after the video, negative where before.
        drift: Seconds by which it falls behind the video's clock in each of its own seconds.

    Raises:
        InputError: If a number is none, or the drift beyond what clocks do.
    """

    path: Path
    offset_sec: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset_sec):
            raise InputError(f"camera {self.path}: offset_sec is {self.offset_sec}; it must be a number of seconds")
        if not abs(self.drift) <= MOST_DRIFT:
            raise InputError(
                f"camera {self.path}: drift is {self.drift}; it must be seconds a second, at most {MOST_DRIFT}"
            )

    def on_video_clock(self, own_sec: np.ndarray) -> np.ndarray:
        """Return its own seconds on the video's clock."""
        return self.offset_sec + own_sec * (1 + self.drift)


@dataclass(frozen=True)
class Views:
    """Content of ``views.json``.

    Args:
        cameras: At least one.
    """

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InputError("names no cameras; list at least one under 'cameras'")
        paths = [camera.path for camera in self.cameras]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise InputError(f"camera {twice} is listed twice; name every camera once")


def read_views(path: Path) -> Views:
    """Return the cameras of a side entry, in order.

    Args:
        path: A ``.json`` file, one other camera's video file, or a folder: one that holds ``views.json``, or else one
            of nothing but videos, which are taken by name and run with the video.

    Raises:
        InputError: If there is no such thing, or it is not of this form.
    """
    if path.is_dir():
        if (path / VIEWS_FILE).is_file():
            return read_views(path / VIEWS_FILE)
        files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
        if not files:
            raise InputError(f"{path}: the folder is empty; put a video file for each camera in it")
        return Views(tuple(Camera(file) for file in files))
    if path.suffix.lower() != ".json":
        return Views((Camera(path),))
    views = from_dict(Views, read_json(path), str(path))
    return Views(tuple(replace(camera, path=path.parent / camera.path) for camera in views.cameras))
