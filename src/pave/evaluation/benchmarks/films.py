"""Films of what is published otherwise: a part of a longer video, or a folder of numbered pictures. Without sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pave.errors import InputError
from pave.evaluation.benchmarks.rows import Film
from pave.media.depth import read_picture
from pave.media.probe import probe
from pave.media.reference_frames import frame_times_sec
from pave.media.video import stream_frames

CLOCK = Fraction(1, 90_000)
QUALITY = {"crf": "18", "preset": "veryfast"}
PICTURES = (".jpg", ".jpeg", ".png")


def write_film(film: Film, source: Path, path: Path) -> None:
    """Write a film.

    Args:
        film: What of the source to show.
        source: The longer video, or the folder of pictures.
        path: The ``.mp4`` to write.

    Raises:
        InputError: If the source cannot be used, or shows nothing between start and end.
    """
    frames = _pictures(film, source) if source.is_dir() else _cut(film, source)
    first = next(frames, None)
    if first is None:
        end = "its end" if film.end_sec is None else f"{film.end_sec:g} s"
        raise InputError(f"{source}: shows nothing between {film.start_sec:g} s and {end}; check the annotation")
    size = first[1].shape[1] // 2 * 2, first[1].shape[0] // 2 * 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_rate(film, source))
        stream.width, stream.height = size
        stream.pix_fmt, stream.options = "yuv420p", {**QUALITY, "threads": "1"}
        stream.codec_context.time_base = CLOCK
        for time_sec, pixels in _chained(first, frames):
            if pixels.shape != first[1].shape:
                raise InputError(f"{source}: its pictures are of several sizes; scale them alike")
            # 4:2:0 has no odd sizes; the last row or column goes.
            whole = np.ascontiguousarray(pixels[: size[1], : size[0]])
            frame = av.VideoFrame.from_ndarray(whole, format="rgb24")
            frame.pts, frame.time_base = round((time_sec - first[0]) / CLOCK), CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _rate(film: Film, source: Path) -> Fraction:
    """Return the frames a second that decide how long the last one is shown."""
    rate = film.pictures_per_sec if source.is_dir() else probe(source).frame_rate
    return Fraction(rate).limit_denominator(1001)


def _chained(
    first: tuple[float, np.ndarray], rest: Iterator[tuple[float, np.ndarray]]
) -> Iterator[tuple[float, np.ndarray]]:
    yield first
    yield from rest


def _within(film: Film, time_sec: float) -> bool:
    return film.start_sec <= time_sec and (film.end_sec is None or time_sec <= film.end_sec)


def _cut(film: Film, source: Path) -> Iterator[tuple[float, np.ndarray]]:
    times_sec = [time for time in frame_times_sec(source).tolist() if _within(film, time)]
    yield from stream_frames(source, times_sec) if times_sec else ()


def _pictures(film: Film, folder: Path) -> Iterator[tuple[float, np.ndarray]]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURES and file.stem.isdecimal()]
    for file in sorted(files, key=lambda file: int(file.stem)):
        time_sec = (int(file.stem) - film.first_number) / film.pictures_per_sec
        if not _within(film, time_sec):
            continue
        yield time_sec, read_picture(file)
