"""What the packets of a file tell before any is decoded: clocks that jump, and where an AVI's pictures begin."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from pave.errors import InputError

JOINABLE = frozenset({"flv", "mpeg", "mpegts"})
"""Containers without one clock for the whole file: recordings can be joined end to end, each with its own."""

BACK_SEC, AHEAD_SEC = 0.5, 10.0
"""A clock that goes back or ahead by more between two packets of a joinable file has jumped."""

UNTRUE_AFTER_SEEK = frozenset({"mpeg"})
"""Containers that time only some of their packets, so that times are guesses after a seek: read from the start."""

REMUX = "put it into an mp4 first (ffmpeg -i FILE -c copy FILE.mp4)"

CLOCKS_KEPT = 1 << 16
"""Files whose clocks a process remembers, while their size and time of change stay the same."""


def demux(container: InputContainer, path: Path, *streams: Stream) -> Iterator[Packet]:
    """Yield the packets of some streams from where the container stands.

    Raises:
        InputError: If a track that was not there at the start begins.
        FFmpegError: On damage.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            # PyAV knows only the streams that it found when it opened the file.
            raise InputError(f"{path}: a track begins in mid-file; {REMUX}") from None
        if packet is None:
            return
        yield packet


def check_clock(container: InputContainer, path: Path) -> None:
    """Check that the clock of a joinable file runs on without a jump; reads each such file once, and whole.

    Raises:
        InputError: If it jumps, naming both times.
    """
    if container.format.name in JOINABLE:
        state = path.stat()
        jump_sec = _jump_sec(path.absolute(), state.st_size, state.st_mtime_ns)
        if jump_sec is not None:
            before_sec, after_sec = jump_sec
            raise InputError(
                f"{path}: its clock jumps from {before_sec:.3f} to {after_sec:.3f} s, as if recordings were joined; "
                + REMUX
            )


def late_sec(container: InputContainer, stream: VideoStream, path: Path) -> float:
    """Return by how much the pictures of an AVI are timed late; 0 for other containers.

    An AVI states no times. FFmpeg counts pictures in the order of decoding, in which the first that is shown comes
    after those that are held back for it.
    """
    if container.format.name != "avi":
        return 0.0
    start = stream.start_time or 0
    try:
        first = next((packet.pts for packet in demux(container, path, stream) if packet.pts is not None), start)
        container.seek(start, stream=stream, backward=True)
    except av.error.FFmpegError:
        # Damage is told by who decodes.
        return 0.0
    return float((first - start) * stream.time_base)


@functools.lru_cache(maxsize=CLOCKS_KEPT)
def _jump_sec(path: Path, size: int, changed_ns: int) -> tuple[float, float] | None:
    """Return the times before and after the first jump; damage ends the search."""
    last_sec: dict[int, float] = {}
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            for packet in demux(container, path, *container.streams.video, *container.streams.audio):
                if packet.dts is None:
                    continue
                now_sec = float(packet.dts * packet.time_base)
                if last_sec and now_sec > max(last_sec.values()) + AHEAD_SEC:
                    return max(last_sec.values()), now_sec
                if now_sec < last_sec.get(packet.stream_index, now_sec) - BACK_SEC:
                    return last_sec[packet.stream_index], now_sec
                last_sec[packet.stream_index] = now_sec
    except (av.error.FFmpegError, InputError):
        return None
    return None
