"""Writes small media files from arrays through PyAV: variable frame rate, rotation, late sound, any rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLOCK = Fraction(1, 90_000)


def grey_levels(count: int) -> np.ndarray:
    """Return ``count`` grey levels far enough apart to be told from each other after lossy coding (count up to 22)."""
    return 20 + 10 * np.arange(count)


def grey_frames(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Return flat frames uint8 (F,H,W,3) whose grey level names the frame; levels repeat after 22 frames."""
    levels = grey_levels(22)[np.arange(count) % 22].astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def click(at_sec: float, duration_sec: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """Return silence float32 (channels, L) with a 5 ms burst of noise that starts at ``at_sec``."""
    samples = np.zeros((channels, round(duration_sec * sample_rate)), dtype=np.float32)
    start, length = round(at_sec * sample_rate), round(0.005 * sample_rate)
    burst = np.random.default_rng(0).choice([-0.8, 0.8], size=length).astype(np.float32)
    samples[:, start : start + length] = burst
    return samples


def write_media(
    path: Path,
    frames: np.ndarray | None = None,
    frame_times_sec: np.ndarray | None = None,
    fps: int = 10,
    video_codec: str = "libx264",
    gop: int = 12,
    rotation_degrees: int = 0,
    mirrored: bool = False,
    sound: np.ndarray | None = None,
    sample_rate: int = 16_000,
    audio_codec: str = "aac",
    sound_start_sec: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a media file.

    Args:
        path: Target; the extension chooses the container.
        frames: Pictures uint8 (F,H,W,3), or ``None`` for a file of sound only.
        frame_times_sec: When each picture appears (F,); by default ``fps`` pictures a second.
        fps: Nominal frame rate.
        video_codec: PyAV's name of the encoder.
        gop: Most pictures between two keyframes.
        rotation_degrees: Counter-clockwise turn that a player is told to apply.
        mirrored: Tell a player to mirror left and right as well.
        sound: Samples float32 (channels, L) in -1..1, or ``None`` for a silent film.
        sample_rate: Of the sound.
        audio_codec: PyAV's name of the encoder.
        sound_start_sec: Where the sound track begins on the container's clock.
        options: Options of the container format.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        video = None if frames is None else _add_video(container, video_codec, frames, fps, gop)
        if video is not None and (rotation_degrees or mirrored):
            video.set_display_rotation(rotation_degrees, hflip=mirrored)
        track = None if sound is None else _add_sound(container, audio_codec, sound, sample_rate)
        if video is not None:
            times_sec = np.arange(len(frames)) / fps if frame_times_sec is None else frame_times_sec
            _write_frames(container, video, frames, times_sec)
        if track is not None:
            _write_sound(container, track, sound, sample_rate, sound_start_sec)
    return path


def write_avi(path: Path, frames: np.ndarray, codec: str, held_back: int) -> Path:
    """Write an AVI of 10 pictures a second (F,H,W,3), up to ``held_back`` of which in a row wait for a later one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        stream.codec_context.max_b_frames = held_back
        stream.codec_context.gop_size = 8
        stream.codec_context.thread_count = 1
        _write_frames(container, stream, frames, np.arange(len(frames)) / 10)
    return path


def _add_video(container, codec: str, frames: np.ndarray, fps: int, gop: int):
    stream = container.add_stream(codec, rate=fps)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
    stream.codec_context.time_base = CLOCK if codec == "libx264" else Fraction(1, fps)
    stream.codec_context.gop_size = gop
    stream.codec_context.thread_count = 1
    return stream


def _add_sound(container, codec: str, sound: np.ndarray, sample_rate: int):
    names = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
    return container.add_stream(codec, rate=sample_rate, layout=names.get(len(sound), f"{len(sound)} channels"))


def _write_frames(container, stream, frames: np.ndarray, times_sec: np.ndarray) -> None:
    clock = stream.codec_context.time_base
    for pixels, time_sec in zip(frames, times_sec, strict=True):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = round(float(time_sec) / clock), clock
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _write_sound(container, stream, sound: np.ndarray, sample_rate: int, start_sec: float) -> None:
    frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).copy(), format="flt", layout=stream.layout.name)
    frame.sample_rate = sample_rate
    frame.time_base = Fraction(1, sample_rate)
    frame.pts = round(start_sec * sample_rate)
    fit = av.AudioResampler(stream.format.name, stream.layout.name, stream.rate, stream.frame_size or None)
    for piece in [*fit.resample(frame), *fit.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode())
