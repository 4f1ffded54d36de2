"""What a video file holds: size, rate, true length, sound; found by decoding one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pave.errors import InputError
from pave.media.container import open_media, reason, start_sec_of
from pave.media.decoding import decoded_frames, frame_rate, header_end_sec, upright_pixels, video_stream
from pave.media.packets import UNTRUE_AFTER_SEEK, demux, late_sec
from pave.media.truncation import TRUNCATION_SEC


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Args:
        duration_sec: From the start of the first frame to the end of the last one.
        width: Of the picture as displayed, after rotation.
        height: Of the picture as displayed, after rotation.
        frame_rate: Average frames a second.
        frames: Number of frames, if the container states it.
        has_audio: Whether there is a sound track.
        start_sec: Where the picture starts on the container's clock.
    """

    duration_sec: float
    width: int
    height: int
    frame_rate: float
    frames: int | None
    has_audio: bool
    start_sec: float


def probe(path: Path) -> VideoInfo:
    """Read what a video file holds, decoding one frame.

    Raises:
        InputError: If the file is missing, a folder, empty, no media, without moving pictures or frames, or cut off.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        begun_sec = start_sec_of(stream) + late_sec(container, stream, path)
        first = next(decoded_frames(container, stream, path), None)
        if first is None:
            raise InputError(f"{path}: the video has no frames; record or convert it again")
        height, width = upright_pixels(first).shape[:2]
        return VideoInfo(
            duration_sec=_last_end_sec(container, stream, path) - begun_sec,
            width=width,
            height=height,
            frame_rate=frame_rate(stream),
            frames=stream.frames or None,
            has_audio=bool(container.streams.audio),
            start_sec=start_sec_of(stream),
        )


def _last_end_sec(container: InputContainer, stream: VideoStream, path: Path) -> float:
    """Return the end of the last frame on the container's clock, from the packets after the last keyframe.

    Raises:
        InputError: If the packets end before the header says so: the file was cut off.
    """
    from_sec = None if container.format.name in UNTRUE_AFTER_SEEK else header_end_sec(container, stream)
    ends_sec = {} if from_sec is None else _ends_sec(container, stream, from_sec, path)
    if stream.index not in ends_sec:
        # FFmpeg does not take every short or damaged file back to its start; a second handle stands there.
        with open_media(path) as second:
            ends_sec = _ends_sec(second, video_stream(second, path), None, path)
    if stream.index not in ends_sec:
        raise InputError(f"{path}: its pictures have no times; put them into a container such as mp4")
    if stream.duration is not None:
        found_sec, promised_sec = ends_sec[stream.index], header_end_sec(container, stream)
    elif container.duration is not None and all(other.type in ("video", "audio") for other in container.streams):
        # One duration for the whole file: sound may outlast the picture, and other kinds of stream cannot be judged.
        found_sec, promised_sec = max(ends_sec.values()), container.duration / av.time_base
    else:
        return ends_sec[stream.index]
    if promised_sec - found_sec > TRUNCATION_SEC:
        raise InputError(
            f"{path}: cut off at {found_sec:.3f} s of the {promised_sec:.3f} s that its header states; copy it again"
        )
    return ends_sec[stream.index]


def _ends_sec(container: InputContainer, stream: VideoStream, from_sec: float | None, path: Path) -> dict[int, float]:
    """Return where each stream of pictures or sound ends, read from the keyframe before ``from_sec``, if given."""
    ends_sec: dict[int, float] = {}
    try:
        if from_sec is not None:
            timestamp = max(stream.start_time or 0, math.floor(from_sec / stream.time_base))
            container.seek(timestamp, stream=stream, backward=True)
        for packet in demux(container, path, stream, *container.streams.audio):
            if packet.pts is not None:
                end_sec = _end_sec(packet, 1.0 / frame_rate(stream) if packet.stream_index == stream.index else 0.0)
                ends_sec[packet.stream_index] = max(end_sec, ends_sec.get(packet.stream_index, end_sec))
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: the end is damaged or cut off ({reason(error)}); copy it again") from None
    return ends_sec


def _end_sec(packet: Packet, usual_sec: float) -> float:
    length_sec = float(packet.duration * packet.time_base) if packet.duration else usual_sec
    return float(packet.pts * packet.time_base) + length_sec
