"""What the demonstration's page shows of a film: the frames, what the patch was given, and what it read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pave.blindspot.report_film import Answer, Film, Sound, Strip
from pave.blindspot.scene import Scene
from pave.data.cache import MediaCache
from pave.data.processor import PaveProcessor
from pave.encoders.views_file import read_views
from pave.media.audio import read_audio
from pave.media.recording import open_recording
from pave.media.video import frames_at, probe, sample_frames
from pave.model import PaveModel
from pave.patches.patch import ResidualPatch
from pave.types import Sample

WAVE_RATE = 8000
FRAMES_PER_SEC = 8
THUMBNAIL = (48, 36)
NEAREST_M, FARTHEST_M = 3.0, 12.0
"""Depths between which the page's greys run, from white to black."""


def film_of(
    sample: Sample,
    scene: Scene,
    answers: Sequence[Answer],
    model: PaveModel,
    processor: PaveProcessor,
    cache: MediaCache,
) -> Film:
    """Return a film with what the patches were given of it.

    Args:
        sample: One of the questions about it, which names its files.
        scene: What it shows.
        answers: What was asked and answered.
        model: The model, with its patches.
        processor: Its processor.
        cache: What the model was asked from.
    """
    assert sample.video is not None
    channels = {patch.config.channel for patch in model.patches.values()}
    frames = sample_frames(sample.video, processor.frames)
    attention, side_times_sec = _attention(sample, model, cache)
    return Film(
        file=sample.video.read_bytes(),
        duration_sec=probe(sample.video).duration_sec,
        pictures=frames.pixels,
        times_sec=frames.times_sec,
        sound=_sound(sample.video, scene) if "audio" in channels else None,
        strips=[strip for channel in sorted(channels) for strip in _strips(sample, channel, frames.times_sec)],
        attention=attention,
        side_times_sec=side_times_sec,
        answers=answers,
    )


def _sound(video: Path, scene: Scene) -> Sound:
    sound = read_audio(video, WAVE_RATE)
    assert sound is not None
    return Sound(sound.samples, sound.sample_rate, [(event.onset_sec, event.kind) for event in scene.sounds])


def _strips(sample: Sample, channel: str, times_sec: np.ndarray) -> list[Strip]:
    path = sample.side.get(channel)
    if path is None:
        return []
    if channel == "depth":
        return [Strip("how far away, near is light", _depth_pictures(path))]
    if channel == "views":
        cameras = read_views(path).cameras
        return [
            Strip(camera.path.stem.replace("_", " "), frames_at(camera.path, times_sec).pixels) for camera in cameras
        ]
    if channel == "frames":
        return [Strip(f"{FRAMES_PER_SEC} frames a second", _every_frame(path))]
    return []


def _depth_pictures(path: Path) -> np.ndarray:
    """Return depth in greys, uint8 (T,H,W,3); where there is none it is black."""
    depths = np.stack([frame.depth_m for frame in open_recording(path).frames() if frame.depth_m is not None])
    nearness = np.clip((FARTHEST_M - depths) / (FARTHEST_M - NEAREST_M), 0, 1) * (depths > 0)
    return np.repeat((255 * nearness).astype(np.uint8)[..., None], 3, axis=-1)


def _every_frame(path: Path) -> np.ndarray:
    middles_sec = (np.arange(round(probe(path).duration_sec * FRAMES_PER_SEC)) + 0.5) / FRAMES_PER_SEC
    pictures = frames_at(path, middles_sec).pixels
    return np.stack([np.asarray(Image.fromarray(picture).resize(THUMBNAIL)) for picture in pictures])


def _attention(sample: Sample, model: PaveModel, cache: MediaCache) -> tuple[Any, Any]:
    """Return how much each frame read from each side step (T,K), and the times of the side steps (K,)."""
    assert sample.video is not None
    for patch in model.patches.values():
        side = cache.side_of(sample, [patch.config.channel])[patch.config.channel]
        if side is None or not isinstance(patch, ResidualPatch):
            continue
        _, video = cache.videos[sample.video]
        queries = [video.queries(patch.config.query).to(model.device)]
        (weights,) = patch.attention_maps(queries, [side.to(model.device)], [video.times_sec], [video.grid])
        return weights.cpu().numpy(), side.times_sec.numpy()
    return None, None
