"""Decoding the pictures of an open container: upright, timed, and with damage told by the second it is at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pave.errors import InputError
from pave.media.container import picture_stream, reason, seconds_into, start_sec_of
from pave.media.packets import demux

TICKS_PER_SEC = 1000
"""From here on a guessed rate is that of the clock by which pictures are timed, not of the pictures."""


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream of moving pictures, ready to decode.

    Raises:
        InputError: If there is none, or no decoder for it.
    """
    stream = picture_stream(container)
    if stream is None:
        raise InputError(f"{path}: no video stream in this file; name a video file")
    if stream.codec_context is None:
        raise InputError(f"{path}: its video is damaged, or of a kind that cannot be decoded; convert it")
    # Callers run several decoders side by side; threads inside one would also decode frames ahead that nobody wants.
    stream.codec_context.thread_count = 1
    return stream


def decoded_frames(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[VideoFrame]:
    """Decode the pictures of a stream from where the container stands, in order of presentation.

    Raises:
        InputError: On damage, naming the second, or on frames without times.
    """
    time_sec = 0.0
    try:
        for packet in demux(container, path, stream):
            if packet.pts is not None:
                time_sec = seconds_into(stream, packet.pts)
            for frame in packet.decode():
                if frame.pts is None:
                    raise InputError(f"{path}: frames have no times; put the stream into a container such as mp4")
                if frame.is_corrupt:
                    time_sec = seconds_into(stream, frame.pts)
                    raise InputError(f"{path}: damaged at {time_sec:.3f} s; repair or copy it again")
                yield frame
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: damaged or cut off at {time_sec:.3f} s ({reason(error)}); repair or copy it again"
        ) from None


def upright_pixels(frame: VideoFrame) -> np.ndarray:
    """Return the pixels RGB uint8 (H,W,3), turned and mirrored as the file's display matrix tells players to."""
    # By default each frame starts threads of its own for this, which takes far longer than the conversion.
    pixels = frame.to_ndarray(format="rgb24", threads=1)
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return pixels
    # Row vectors times this matrix: the displayed x is a * x + c * y, the displayed y is b * x + d * y.
    a, b, _, c, d = np.frombuffer(bytes(side_data), dtype=np.int32)[:5]
    if abs(b) > abs(a):
        pixels, mirror_x, mirror_y = pixels.swapaxes(0, 1), c < 0, b < 0
    else:
        mirror_x, mirror_y = a < 0, d < 0
    return np.ascontiguousarray(pixels[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])


def frame_rate(stream: VideoStream) -> float:
    """Return the average frames a second, as the container states or guesses it, else 25."""
    guesses = (rate for rate in (stream.guessed_rate, stream.base_rate) if rate and rate < TICKS_PER_SEC)
    return float(stream.average_rate or next(guesses, 25))


def header_end_sec(container: InputContainer, stream: VideoStream) -> float | None:
    """Return where the picture ends at the latest, on the container's clock, as far as the header says so."""
    if stream.duration is not None:
        return start_sec_of(stream) + float(stream.duration * stream.time_base)
    if container.duration is not None:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return None
