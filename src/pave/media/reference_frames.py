"""Frames as the reference chose and scaled them: whole frame numbers from first to last, squashed to a square."""

from __future__ import annotations

import logging
import os.path
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from pave.errors import InputError
from pave.media.container import open_media, seconds_into
from pave.media.decoding import decoded_frames, video_stream
from pave.media.depth import read_picture
from pave.media.packets import UNTRUE_AFTER_SEEK, demux, late_sec
from pave.media.probe import probe
from pave.media.video import SAME_INSTANT_SEC, Frames, frames_at

logger = logging.getLogger(__name__)


def sample_reference_frames(path: Path, count: int) -> Frames:
    """Return ``count`` frames of a video file, or of a folder of numbered ``.jpg`` pictures, by the reference's rule.

    A file gives the frames whose numbers are :func:`evenly_numbered`. A folder gives its first ``count`` pictures, or
    all of them and the last one again; it has no clock, so that picture i stands at i seconds.

    Raises:
        InputError: If the file or a picture cannot be used, or the folder holds none.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _pictures(path, count)
    probe(path)
    times_sec = frame_times_sec(path)
    return frames_at(path, times_sec[evenly_numbered(len(times_sec), count)])


def evenly_numbered(frames: int, count: int) -> np.ndarray:
    """Return ``count`` frame numbers (count,) evenly from the first to the last of ``frames``, fractions cut off."""
    return np.linspace(0, frames - 1, count, dtype=int)


def frame_times_sec(path: Path) -> np.ndarray:
    """Return the time of every frame (F,) in order of presentation; i seconds for picture i of a folder.

    Reads packets only, and decodes where a container does not time them all.

    Raises:
        InputError: If the file is no video, or has no frames.
    """
    if os.path.isdir(path):
        return np.arange(len(_numbered(path)), dtype=np.float64)
    with open_media(path) as container:
        stream = video_stream(container, path)
        begun_sec = late_sec(container, stream, path)
        stamps = _packet_stamps(container, stream, path)
        if not stamps or None in stamps:
            stamps = _decoded_stamps(path)
        if not stamps:
            raise InputError(f"{path}: the video has no frames; record or convert it again")
        times_sec = np.array([seconds_into(stream, stamp) - begun_sec for stamp in sorted(stamps)])
        # What comes before the start leans on pictures that were cut away, and cannot be decoded.
        return times_sec[times_sec > -SAME_INSTANT_SEC]


def _decoded_stamps(path: Path) -> list[int]:
    with open_media(path) as container:
        return [frame.pts for frame in decoded_frames(container, video_stream(container, path), path)]


def _packet_stamps(container: InputContainer, stream: VideoStream, path: Path) -> list[int | None]:
    if container.format.name in UNTRUE_AFTER_SEEK:
        return []
    try:
        return [packet.pts for packet in demux(container, path, stream) if packet.size and not packet.is_discard]
    except av.error.FFmpegError:
        # Decoding comes upon the same damage, and tells its second.
        return []


def squash(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize frames uint8 (F,H,W,3) to (F,side,side,3), bicubic, whatever their aspect ratio."""
    size = (side, side)
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)) for frame in pixels])


def _pictures(folder: Path, count: int) -> Frames:
    files = _numbered(folder)
    if len(files) != count:
        done = f"the first {count} are used" if len(files) > count else f"the last one is repeated up to {count}"
        logger.warning("%s: holds %d pictures; %s", folder, len(files), done)
    chosen = np.minimum(np.arange(count), len(files) - 1)
    pictures = [read_picture(file) for file in files[:count]]
    for file, picture in zip(files, pictures, strict=False):
        if picture.shape != pictures[0].shape:
            raise InputError(f"{file}: has another size than {files[0].name}; scale the pictures of a folder alike")
    return Frames(np.stack(pictures)[chosen], chosen.astype(np.float64))


def _numbered(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix == ".jpg" and file.stem.isdecimal()]
    if not files:
        raise InputError(f"{folder}: holds no .jpg pictures named by numbers; name a video file or such a folder")
    return sorted(files, key=lambda file: (int(file.stem), file.name))
