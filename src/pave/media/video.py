"""Frames of a video at given seconds: seeks to keyframes and decodes only what leads to the frames asked for.

All times are on the video's own clock: zero is the first moment of the picture, whatever the container's clock says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from pave.errors import InputError
from pave.media.container import open_media, seconds_into, start_sec_of
from pave.media.decoding import decoded_frames, frame_rate, upright_pixels, video_stream
from pave.media.packets import UNTRUE_AFTER_SEEK, demux, late_sec
from pave.media.probe import VideoInfo, probe

__all__ = ["Frames", "VideoInfo", "frames_at", "probe", "sample_frames", "stream_frames", "uniform_times_sec"]

SAME_INSTANT_SEC = 1e-6
"""A time this close before a frame counts as having reached it: the rounding of times, never a picture's length."""


@dataclass(frozen=True)
class Frames:
    """Decoded frames.

    Args:
        pixels: RGB uint8 (F,H,W,3), upright as a player shows them.
        times_sec: Presentation time of each frame (F,), float64.
    """

    pixels: np.ndarray
    times_sec: np.ndarray


def uniform_times_sec(duration_sec: float, count: int) -> np.ndarray:
    """Return the midpoints of ``count`` equal parts of ``duration_sec`` (count,).

    Raises:
        InputError: If the duration is not above zero, or the count below 1.
    """
    if not (duration_sec > 0 and math.isfinite(duration_sec)):
        raise InputError(f"duration_sec is {duration_sec}; it must be above 0")
    if count < 1:
        raise InputError(f"count of frames is {count}; it must be at least 1")
    return (np.arange(count) + 0.5) * (duration_sec / count)


def sample_frames(path: Path, count: int) -> Frames:
    """Return the frames on screen at the midpoints of ``count`` equal parts of a video.

    Raises:
        InputError: As :func:`probe` and :func:`frames_at`.
    """
    return frames_at(path, uniform_times_sec(probe(path).duration_sec, count))


def frames_at(path: Path, times_sec: Sequence[float] | np.ndarray) -> Frames:
    """Return the frame on screen at each time: the last one shown at or before it, or the first frame of all.

    Args:
        path: Any file that PyAV opens.
        times_sec: Seconds from the start of the picture (F,), in any order; repeats are fine.

    Raises:
        InputError: If the file cannot be used, is damaged on the way to a time, or a time is negative, not finite, or
            later than the end by more than half a frame.
    """
    unique_sec, inverse = np.unique(_checked_times(times_sec), return_inverse=True)
    pixels: list[np.ndarray] = []
    shown_sec: list[float] = []
    which = []
    for frame_sec, picture in stream_frames(path, unique_sec):
        if not shown_sec or shown_sec[-1] != frame_sec:
            pixels.append(picture)
            shown_sec.append(frame_sec)
        which.append(len(shown_sec) - 1)
    order = np.asarray(which)[inverse]
    return Frames(np.stack(pixels)[order], np.asarray(shown_sec)[order])


def stream_frames(path: Path, times_sec: Sequence[float] | np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Return time and pixels RGB uint8 (H,W,3) of the frame on screen at each time, one after the other.

    Holds a few frames, however many are asked for.

    Args:
        path: Any file that PyAV opens.
        times_sec: Sorted seconds from the start of the picture (F,); repeats are fine.

    Raises:
        InputError: As :func:`frames_at`, when the iteration reaches the cause, or at once if the times are not sorted.
    """
    wanted_sec = _checked_times(times_sec)
    if (np.diff(wanted_sec) < 0).any():
        raise InputError("times_sec goes back; sort the times of a stream of frames")
    return _streamed(Path(path), wanted_sec)


def _streamed(path: Path, wanted_sec: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    with open_media(path) as container, open_media(path) as scout:
        cursor = _Cursor(container, scout, path)
        shown_sec, pixels = cursor.picture_at(float(wanted_sec[0]), None)
        size = pixels.shape
        for time_sec in wanted_sec:
            shown_sec, pixels = cursor.picture_at(float(time_sec), (shown_sec, pixels))
            _check_same_size(size, pixels.shape, shown_sec, path)
            yield shown_sec, pixels


class _Cursor:
    """Walks forward through a video, jumping to a keyframe only where that skips frames.

    A second handle on the file, the scout, finds keyframes without decoding, so that the decoder never goes back.
    """

    def __init__(self, container: InputContainer, scout: InputContainer, path: Path) -> None:
        self._container = container
        self._stream = video_stream(container, path)
        self._scout = scout
        self._scout_stream = video_stream(scout, path)
        self._path = path
        self._late_sec = late_sec(scout, self._scout_stream, path)
        self._start_sec = start_sec_of(self._stream) + self._late_sec
        self._frame_sec = 1.0 / frame_rate(self._stream)
        self._frames = decoded_frames(container, self._stream, path)
        self._shown: VideoFrame | None = None
        self._ahead: VideoFrame | None = None

    def at(self, time_sec: float) -> tuple[float, VideoFrame]:
        """Return time and picture of the frame on screen at ``time_sec``; calls must come in order of time."""
        if time_sec > self._reached_sec + 2 * self._frame_sec:
            self._jump(time_sec)
        if self._shown is None:
            self._start()
        if self._shown is None:
            raise InputError(f"{self._path}: the video has no frames; record or convert it again")
        while self._ahead is not None and self._time_sec(self._ahead) <= time_sec + SAME_INSTANT_SEC:
            self._shown, self._ahead = self._ahead, next(self._frames, None)
        if self._ahead is None:
            self._check_end(time_sec, self._time_sec(self._shown) + self._duration_sec(self._shown))
        return self._time_sec(self._shown), self._shown

    def picture_at(self, time_sec: float, last: tuple[float, np.ndarray] | None) -> tuple[float, np.ndarray]:
        """Return time and pixels of the frame on screen; those of the ``last`` one again, if it still is."""
        frame_sec, frame = self.at(time_sec)
        return last if last is not None and last[0] == frame_sec else (frame_sec, upright_pixels(frame))

    @property
    def _reached_sec(self) -> float:
        frame = self._ahead or self._shown
        return -math.inf if frame is None else self._time_sec(frame)

    def _jump(self, time_sec: float) -> None:
        found = self._find_keyframe(time_sec)
        if found is None or found[0] <= self._reached_sec:
            return
        self._seek(found[1])
        if self._shown is None or self._time_sec(self._shown) > time_sec + SAME_INSTANT_SEC:
            # Decoding began after the keyframe that was found; only the way from the start is sure.
            self._seek(self._stream.start_time or 0)

    def _seek(self, timestamp: int) -> None:
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._frames = decoded_frames(self._container, self._stream, self._path)
        self._start()

    def _start(self) -> None:
        self._shown = next(self._frames, None)
        self._ahead = next(self._frames, None)

    def _find_keyframe(self, time_sec: float) -> tuple[float, int] | None:
        """Return time and seek target of the last keyframe at or before ``time_sec``, or ``None`` if none is found.

        Containers are searched by decoding time, so what they find can be shown later than asked; then one keyframe
        further back is tried.
        """
        if self._scout.format.name in UNTRUE_AFTER_SEEK:
            return None
        stream = self._scout_stream
        target = math.floor((time_sec + SAME_INSTANT_SEC + self._start_sec) / stream.time_base)
        for _ in range(2):
            try:
                self._scout.seek(target, stream=stream, backward=True)
                packets = demux(self._scout, self._path, stream)
                key = next((packet for packet in packets if _is_timed_key(packet)), None)
            except av.error.FFmpegError:
                return None
            if key is None:
                return None
            key_sec = seconds_into(stream, key.pts) - self._late_sec
            if key_sec <= time_sec + SAME_INSTANT_SEC:
                return key_sec, target
            target = min(key.pts, key.pts if key.dts is None else key.dts) - 1
        return None

    def _time_sec(self, frame: VideoFrame) -> float:
        return seconds_into(self._stream, frame.pts) - self._late_sec

    def _duration_sec(self, frame: VideoFrame) -> float:
        return float(frame.duration * frame.time_base) if frame.duration else self._frame_sec

    def _check_end(self, time_sec: float, end_sec: float) -> None:
        if time_sec > end_sec + 0.5 * self._frame_sec:
            raise InputError(
                f"{self._path}: no frame at {time_sec:.3f} s; the video lasts {end_sec:.3f} s, ask for earlier times"
            )


def _is_timed_key(packet: av.Packet) -> bool:
    return packet.is_keyframe and packet.pts is not None


def _checked_times(times_sec: Sequence[float] | np.ndarray) -> np.ndarray:
    times = np.asarray(times_sec, dtype=np.float64)
    if times.ndim != 1 or times.size == 0:
        raise InputError(f"times_sec has shape {times.shape}; give a list of at least one time in seconds")
    if not np.isfinite(times).all() or (times < 0).any():
        bad = times[~np.isfinite(times) | (times < 0)][0]
        raise InputError(f"times_sec holds {bad}; every time must be a number of seconds from 0 on")
    return times


def _check_same_size(first: tuple[int, ...], last: tuple[int, ...], time_sec: float, path: Path) -> None:
    if first != last:
        raise InputError(
            f"{path}: the picture changes from {first[1]} x {first[0]} to {last[1]} x {last[0]} by {time_sec:.3f} s; "
            "convert the video to one size"
        )
