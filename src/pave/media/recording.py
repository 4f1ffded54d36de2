"""RGB-D recordings: pictures, depth, intrinsics and poses in time, read frame by frame from any known layout."""

from __future__ import annotations

import logging
import os.path
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.arkit import read_arkit
from pave.media.cameras import Convention, Intrinsics, pose_fault
from pave.media.cameras_file import read_cameras_file
from pave.media.depth import read_depth, read_picture
from pave.media.rgbd import Layout, RecordingOptions, RgbdFrame, Shot
from pave.media.scannet import read_scannet
from pave.media.tum import read_tum
from pave.media.video import SAME_INSTANT_SEC, frames_at, uniform_times_sec

logger = logging.getLogger(__name__)

READERS: dict[str, Callable[[Path, RecordingOptions], Layout]] = {
    "cameras": read_cameras_file,
    "scannet": read_scannet,
    "tum": read_tum,
    "arkit": read_arkit,
}
"""By the names in :data:`pave.media.rgbd.LAYOUTS`."""

READ_AT_ONCE = 8
"""Pictures of a film that are decoded in one go, all that is held in memory at once."""


class Recording:
    """The usable frames of a recording, in order of time; opened by :func:`open_recording`.

    Args:
        path: Folder or file, for error messages.
        layout: What was found there.
        needs_depth: Whether a frame without a depth file is left out.

    Raises:
        InputError: If no frame is left; frames that are left out are counted in :attr:`skipped` and logged.
    """

    def __init__(self, path: Path, layout: Layout, needs_depth: bool = True) -> None:
        self.path = path
        self.convention = layout.convention
        self.skipped: Counter[str] = Counter()
        self._alignment = np.eye(4) if layout.alignment is None else layout.alignment
        ordered = sorted(layout.shots, key=lambda shot: shot.time_sec)
        self._shots: list[Shot] = []
        there = _Existence()
        for shot in ordered:
            if not needs_depth and shot.depth is not None and not there(shot.depth):
                shot = replace(shot, depth=None)
            fault = _fault(shot, needs_depth, there)
            if fault is None:
                self._shots.append(shot)
            else:
                self.skipped[fault] += 1
        self._tell(len(ordered))
        # A frame lasts until the next one; the last is given the mean of the others.
        instants = sorted({shot.time_sec for shot in ordered if shot.time_sec >= 0})
        self.start_sec = instants[0]
        gaps = len(instants) - 1
        self.duration_sec = (instants[-1] - instants[0]) * len(instants) / gaps if gaps else 0.0

    def __len__(self) -> int:
        """Number of usable frames."""
        return len(self._shots)

    @property
    def times_sec(self) -> np.ndarray:
        """Times of the usable frames (F,)."""
        return np.array([shot.time_sec for shot in self._shots], np.float64)

    def files(self, indices: Iterable[int]) -> list[Path]:
        """Return the picture and depth files of some frames, sorted, each once."""
        shots = [self._shots[index] for index in indices]
        return sorted({file for shot in shots for file in (shot.picture, shot.depth) if file is not None})

    def evenly(self, count: int) -> list[int]:
        """Return which frames stand at the midpoints of equal parts of the recording, about ``count`` of them.

        As with a video, that is the last usable frame at or before each midpoint; no frame is named twice, so a
        recording of few frames gives fewer. Cameras of one instant stay together: there are as many parts as leave
        ``count`` frames, at least one.
        """
        instants, cameras = np.unique(self.times_sec, return_counts=True)
        if not self.duration_sec:
            return list(range(len(self)))
        parts = max(1, count // int(cameras.max()))
        wanted_sec = self.start_sec + uniform_times_sec(self.duration_sec, parts)
        shown = np.searchsorted(instants, wanted_sec + SAME_INSTANT_SEC, side="right") - 1
        return np.flatnonzero(np.isin(self.times_sec, instants[np.maximum(shown, 0)])).tolist()

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[RgbdFrame]:
        """Decode frames one after the other, all of them by default.

        Raises:
            InputError: If a file is damaged, or picture, depth and intrinsics do not fit each other.
        """
        chosen = [self._shots[index] for index in (range(len(self)) if indices is None else indices)]
        for film, shots in groupby(chosen, key=lambda shot: shot.picture if shot.film else None):
            pictures = _pictures(list(shots), film)
            for shot, pixels in pictures:
                yield self._frame(shot, pixels)

    def _frame(self, shot: Shot, pixels: np.ndarray) -> RgbdFrame:
        assert shot.pose is not None
        height, width = pixels.shape[:2]
        camera = _fitting(shot.camera, (width, height), shot.picture)
        depth_m, depth_camera = None, camera
        if shot.depth is not None:
            depth_m = read_depth(shot.depth, shot.depth_unit_m)
            size = (depth_m.shape[1], depth_m.shape[0])
            depth_camera = _fitting(shot.depth_camera or camera, size, shot.depth)
        return RgbdFrame(
            time_sec=shot.time_sec,
            pixels=pixels,
            depth_m=depth_m,
            camera=camera,
            depth_camera=depth_camera,
            camera_to_world=self._alignment @ self.convention.camera_to_world(shot.pose),
            stated_pose=shot.pose,
            source=shot.picture,
        )

    def _tell(self, total: int) -> None:
        reasons = ", ".join(f"{count} {fault}" for fault, count in sorted(self.skipped.items()))
        if not self._shots:
            raise InputError(f"{self.path}: none of {total} frames can be used ({reasons or 'there are no frames'})")
        if reasons:
            logger.warning("%s: %d of %d frames skipped (%s)", self.path, self.skipped.total(), total, reasons)


def open_recording(path: Path, options: RecordingOptions | None = None, needs_depth: bool = True) -> Recording:
    """Open a recording: a folder in one of the known layouts, or a ``cameras.json``.

    Only lists, poses and intrinsics are read; pictures and depth wait until a frame is asked for.

    Args:
        path: The folder or file.
        options: How to read it.
        needs_depth: Whether a frame without a depth file is left out.

    Raises:
        InputError: If it is missing, in no known layout, its files cannot be understood, or no frame can be used.
    """
    path = Path(path)
    options = options or RecordingOptions()
    if not os.path.exists(path):
        raise InputError(f"{path}: no such folder or file; check the path")
    found = READERS[options.layout or _tell_layout(path)](path, options)
    convention = Convention(options.poses or found.convention.poses, options.axes or found.convention.axes)
    shots = [_shifted(shot, options.offset_sec) for shot in found.shots]
    return Recording(path, Layout(shots, convention, found.alignment), needs_depth)


def _tell_layout(path: Path) -> str:
    if path.is_file() or (path / "cameras.json").is_file():
        return "cameras"
    if (path / "rgb.txt").is_file():
        return "tum"
    if (path / "color").is_dir() and (path / "pose").is_dir():
        return "scannet"
    if any(path.glob("*.traj")):
        return "arkit"
    raise InputError(
        f"{path}: no recording in a known layout; it holds no cameras.json, rgb.txt (tum), color/ and pose/ (scannet) "
        "or *.traj (arkit)"
    )


def _shifted(shot: Shot, offset_sec: float) -> Shot:
    if not offset_sec:
        return shot
    if shot.film:
        raise InputError(f"{shot.picture}: the pictures are the film's, and on its clock; leave offset_sec out")
    return replace(shot, time_sec=shot.time_sec + offset_sec)


class _Existence:
    """Whether files are there, asked once each; one whose name cannot be any file's is not."""

    def __init__(self) -> None:
        self._films: dict[Path, bool] = {}

    def __call__(self, file: Path, film: bool = False) -> bool:
        if not film:
            return os.path.isfile(file)
        if file not in self._films:
            self._films[file] = os.path.isfile(file)
        return self._films[file]


def _fault(shot: Shot, needs_depth: bool, there: _Existence) -> str | None:
    if shot.time_sec < 0:
        return "before the video's start"
    if not there(shot.picture, shot.film):
        return "without a picture"
    if needs_depth and (shot.depth is None or not there(shot.depth)):
        return "without depth"
    fault = pose_fault(shot.pose)
    return None if fault is None else f"with {fault}"


def _fitting(camera: Intrinsics, size: tuple[int, int], file: Path) -> Intrinsics:
    if not camera.shows_the_same_at(*size):
        raise InputError(
            f"{file}: has {size[0]} x {size[1]} pixels, its intrinsics are for {camera.width} x {camera.height}, "
            "another shape; give intrinsics of its own, or crop one to the other"
        )
    return camera.scaled(*size)


def _pictures(shots: Sequence[Shot], film: Path | None) -> Iterator[tuple[Shot, np.ndarray]]:
    if film is None:
        for shot in shots:
            yield shot, read_picture(shot.picture)
        return
    for start in range(0, len(shots), READ_AT_ONCE):
        batch = shots[start : start + READ_AT_ONCE]
        yield from zip(batch, frames_at(film, [shot.time_sec for shot in batch]).pixels, strict=True)
