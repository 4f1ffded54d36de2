"""Writes one scene as a real mp4: H.264 pictures and an AAC sound track, through PyAV."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from pave.blindspot.render import render
from pave.blindspot.scene import Scene, sampled_times
from pave.blindspot.sounds import soundtrack
from pave.errors import InputError

_SHARED_QUALITY = {"crf": "18"}
_FIXED_QUALITY = {"qp": "18", "forced-idr": "1"}


@dataclass(frozen=True)
class FilmFormat:
    """Picture size in pixels (even numbers), frames a second, and samples a second of the mono sound."""

    width: int = 64
    height: int = 64
    frames_per_sec: int = 8
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if value < 16 or value % 2:
                raise InputError(f"{name} is {value}; H.264 needs an even number of pixels, 16 or more")
        if not 1 <= self.frames_per_sec <= 240:
            raise InputError(f"frames_per_sec is {self.frames_per_sec}; write a number from 1 to 240")
        if self.sample_rate not in (8000, 16000, 22050, 24000, 32000, 44100, 48000):
            raise InputError(f"sample_rate is {self.sample_rate}; write a rate AAC knows, such as 16000 or 48000")


def write_film(scene: Scene, path: Path, form: FilmFormat, rng: np.random.Generator) -> None:
    """Render a scene and write it; ``rng`` varies the sounds and their background noise.

    Where no sampled frame catches a flash, the sampled frames are coded each on its own: not even the traces of
    compression then tell that there was one.
    """
    times = np.arange(round(scene.duration_sec * form.frames_per_sec)) / form.frames_per_sec
    pictures = render(scene, times.tolist(), form.width, form.height)
    sampled = sampled_times(scene.duration_sec)
    caught = any(flash.is_on(float(time)) for flash in scene.flashes for time in sampled)
    on_screen = (sampled * form.frames_per_sec).astype(int).tolist()
    alone = on_screen if scene.flashes and not caught else ()
    write_mp4(path, pictures, soundtrack(scene, form.sample_rate, rng), form, alone)


def write_mp4(
    path: Path, frames: np.ndarray, sound: np.ndarray | None, form: FilmFormat, alone: Collection[int] = ()
) -> None:
    """Write frames and sound, both from second 0.

    Args:
        path: The file.
        frames: uint8 (T, height, width, 3).
        sound: Mono, float32 in -1..1; ``None`` for a film without a sound track.
        form: Frames and samples a second.
        alone: Numbers of frames whose bits depend on no other frame; with none, the encoder shares bits as it likes.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=form.frames_per_sec)
        video.width, video.height, video.pix_fmt = form.width, form.height, "yuv420p"
        video.options = {**(_FIXED_QUALITY if alone else _SHARED_QUALITY), "preset": "veryfast", "threads": "1"}
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=form.sample_rate, layout="mono")
            audio.bit_rate = 64000
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, form.frames_per_sec)
            if index in alone:
                frame.pict_type = PictureType.I
            container.mux(video.encode(frame))
        if audio is not None:
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = form.sample_rate, 0, Fraction(1, form.sample_rate)
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
        container.mux(video.encode(None))
