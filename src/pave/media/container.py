"""Opening media files through PyAV, with every way that can go wrong told in one line of the user's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from pave.errors import InputError
from pave.media.packets import check_clock
from pave.media.truncation import check_complete


def check_file(path: Path) -> None:
    """Check that ``path`` is a whole file with something in it.

    Raises:
        InputError: If it is missing, a folder, empty, visibly cut off, or must not or cannot be read.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: a folder, not a file; name one file in it")
        if not path.is_file():
            raise InputError(f"{path}: no such file; check the path")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes); copy or record it again")
        check_complete(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading and close it afterwards.

    Raises:
        InputError: If it is missing, a folder, empty, cut off, or no media file, or its clock jumps.
    """
    check_file(path)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: not a media file, or damaged at its start ({reason(error)}); name another or copy it again"
        ) from None
    with container:
        if container.format.name == "tty":
            raise InputError(f"{path}: plain text, not a media file; name another")
        check_clock(container, path)
        yield container


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's own words for an error, without its number and the file's name."""
    return error.strerror or type(error).__name__


def picture_stream(container: InputContainer) -> VideoStream | None:
    """Return the first stream of moving pictures, or ``None``; the cover of an album is no such stream."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def start_sec_of(stream: Stream) -> float:
    """Return the time that a stream starts at, in seconds on the container's clock."""
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def seconds_into(stream: Stream, timestamp: int) -> float:
    """Return a timestamp of a stream in seconds since the stream's start."""
    return float((timestamp - (stream.start_time or 0)) * stream.time_base)
