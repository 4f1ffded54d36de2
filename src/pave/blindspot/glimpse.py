"""Frames as the tiny base gets them from a film: of some size, lossily compressed, squashed to a small square."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pave.blindspot.render import render
from pave.blindspot.scene import Scene

_PICTURE_SIZES = ((64, 64), (64, 64), (64, 64), (96, 64), (64, 80), (128, 96))
_QUALITIES = (50, 96)


def glimpses(scene: Scene, times_sec: np.ndarray, size: int, rng: np.random.Generator, camera: int = 0) -> np.ndarray:
    """Return frames at the given seconds, uint8 (T, size, size, 3).

    The picture's own size and the strength of its compression are drawn at random, so that neither matters to who
    learns from them.
    """
    width, height = _PICTURE_SIZES[int(rng.integers(len(_PICTURE_SIZES)))]
    pictures = render(scene, times_sec.tolist(), width, height, camera)
    quality = int(rng.integers(*_QUALITIES))
    squashed: list[np.ndarray] = []
    for k, picture in enumerate(pictures):
        still = k > 0 and np.array_equal(picture, pictures[k - 1])
        squashed.append(squashed[-1] if still else _compressed_and_squashed(picture, quality, size))
    return np.stack(squashed)


def _compressed_and_squashed(picture: np.ndarray, quality: int, size: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).resize((size, size), Image.Resampling.BICUBIC))
