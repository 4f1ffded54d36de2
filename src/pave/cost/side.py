"""Side steps and tokens that encoders make of media of a known length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pave.encoders.languagebind import CLIP_FRAMES, count_clips
from pave.errors import InputError

Grid = tuple[int, int] | None

FRAME_RATE = 30.0
"""Of films whose own is read, in frames a second."""

_PATCHES_OF_CLIP = 576


def side_shape(config: Any, seconds: float, grid: Grid, cameras: int = 1) -> tuple[int, int | None]:
    """Return side steps K that an encoder makes of media of so many seconds, and tokens a step N if they are known.

    Args:
        config: Its settings; those of an encoder that is none of this project's are to state ``hop_sec``.
        seconds: Length of the media.
        grid: Rows and columns of the pooled features of a frame of the base, where its tower is used.
        cameras: Other cameras, for the encoder that reads them.

    Raises:
        InputError: If nothing tells how many steps it makes.
    """
    if config.type in _SHAPES:
        return _SHAPES[config.type](config, seconds, grid, cameras)
    if getattr(config, "hop_sec", None) is not None:
        return _windows(config, seconds), None
    raise InputError(f"encoder {config.type!r}: its files alone tell how many side steps it makes")


def _windows(config: Any, seconds: float) -> int:
    return 1 + math.ceil(max(0.0, seconds - getattr(config, "window_sec", config.hop_sec)) / config.hop_sec)


def _pooled(config: Any, grid: Grid) -> int:
    rows, columns = config.grid or grid or (1, 1)
    return int(rows * columns)


_SHAPES: dict[str, Callable[[Any, float, Grid, int], tuple[int, int | None]]] = {
    "audio": lambda config, seconds, grid, cameras: (
        _windows(config, seconds),
        1 if config.pooling == "mean" else None,
    ),
    "depth": lambda config, seconds, grid, cameras: (config.frames, _pooled(config, grid)),
    "frames": lambda config, seconds, grid, cameras: (
        math.ceil((config.frame_rate or FRAME_RATE) * seconds),
        _pooled(config, grid),
    ),
    "imagebind": lambda config, seconds, grid, cameras: (max(1, int(seconds) - 1), 1),
    "languagebind": lambda config, seconds, grid, cameras: (CLIP_FRAMES * count_clips(seconds), config.grid**2),
    "llava3d": lambda config, seconds, grid, cameras: (config.views, _PATCHES_OF_CLIP),
    "log_mel": lambda config, seconds, grid, cameras: (_windows(config, seconds), 1),
    "views": lambda config, seconds, grid, cameras: (
        cameras * math.ceil(config.frame_rate * seconds),
        _pooled(config, grid),
    ),
}
