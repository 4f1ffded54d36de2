"""Writes one scene as a real mp4: H.264 pictures and an AAC sound track, through PyAV."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pave.blindspot.render import render
from pave.blindspot.scene import Scene
from pave.blindspot.sounds import soundtrack
from pave.errors import InputError


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
    """Render a scene and write it; ``rng`` varies the sounds and their background noise."""
    times = np.arange(round(scene.duration_sec * form.frames_per_sec)) / form.frames_per_sec
    write_mp4(
        path, render(scene, times.tolist(), form.width, form.height), soundtrack(scene, form.sample_rate, rng), form
    )


def write_mp4(path: Path, frames: np.ndarray, sound: np.ndarray, form: FilmFormat) -> None:
    """Write frames, uint8 (T, height, width, 3), and mono sound, float32 in -1..1, both from second 0."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=form.frames_per_sec)
        video.width, video.height, video.pix_fmt = form.width, form.height, "yuv420p"
        video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        audio = container.add_stream("aac", rate=form.sample_rate, layout="mono")
        audio.bit_rate = 64000
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, form.frames_per_sec)
            container.mux(video.encode(frame))
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = form.sample_rate, 0, Fraction(1, form.sample_rate)
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
