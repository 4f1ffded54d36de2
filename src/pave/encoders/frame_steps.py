"""Which frame of a video stands for each side step, and which seconds the step covers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pave.media.reference_frames import frame_times_sec
from pave.media.video import probe, stream_frames

ROUNDING_SEC = 0.001
"""Containers round times to milliseconds: a frame this little before a step belongs to the step."""


@dataclass(frozen=True)
class FrameSteps:
    """Side steps of a video, one frame each.

    Args:
        starts_sec: Where each step starts (K,).
        ends_sec: Where each step ends (K,).
        frames_sec: When the frame of each step appears (K,), sorted.
    """

    starts_sec: np.ndarray
    ends_sec: np.ndarray
    frames_sec: np.ndarray

    def __len__(self) -> int:
        return len(self.frames_sec)

    def times_sec(self, group: int = 1) -> Tensor:
        """Return the centre of what each ``group`` of consecutive steps covers; the last group may be smaller."""
        last = np.minimum(np.arange(0, len(self), group) + group, len(self)) - 1
        return torch.from_numpy((self.starts_sec[::group] + self.ends_sec[last]) / 2)


def every_frame(path: Path) -> FrameSteps:
    """Return a step for every frame of a video: it covers the time that the frame is on screen.

    Raises:
        InputError: If the file is no whole video.
    """
    end_sec = probe(path).duration_sec
    frames_sec = frame_times_sec(path)
    return FrameSteps(frames_sec, np.append(frames_sec[1:], max(end_sec, frames_sec[-1])), frames_sec)


def steps_at(path: Path, frame_rate: float) -> FrameSteps:
    """Return steps of equal length over a whole video; the last one ends with it.

    Args:
        path: The video.
        frame_rate: Steps a second.

    Raises:
        InputError: If the file is no whole video.
    """
    end_sec = probe(path).duration_sec
    edges_sec = np.arange(max(1, math.ceil(end_sec * frame_rate - 1e-6)) + 1) / frame_rate
    edges_sec[-1] = end_sec
    return FrameSteps(edges_sec[:-1], edges_sec[1:], frames_of(frame_times_sec(path), edges_sec[:-1], edges_sec[1:]))


def frames_of(frames_sec: np.ndarray, starts_sec: np.ndarray, ends_sec: np.ndarray) -> np.ndarray:
    """Return the time of one frame for each step (K,).

    It is the frame that appears nearest the middle of the step, so that at the video's own rate none is left out and
    what appears within a step is seen in that step; where none appears, it is the one on screen.

    Args:
        frames_sec: When each frame of the video appears (F,), sorted.
        starts_sec: Where each step starts (K,), sorted.
        ends_sec: Where each step ends (K,).
    """
    rounding_sec = np.minimum(ROUNDING_SEC, (ends_sec - starts_sec) / 10)
    first = np.searchsorted(frames_sec, starts_sec - rounding_sec)
    last = np.searchsorted(frames_sec, ends_sec - rounding_sec) - 1
    middles_sec = (starts_sec + ends_sec) / 2
    after = np.clip(np.searchsorted(frames_sec, middles_sec), first, np.maximum(last, first))
    after = np.minimum(after, len(frames_sec) - 1)
    before = np.maximum(after - 1, np.minimum(first, after))
    nearest = np.where(middles_sec - frames_sec[before] <= frames_sec[after] - middles_sec, before, after)
    on_screen = np.clip(first - 1, 0, None)
    return frames_sec[np.where(last >= first, nearest, on_screen)]


def batches_of_frames(path: Path, frames_sec: np.ndarray, size: int) -> Iterator[Tensor]:
    """Return the frames that appear at sorted times as batches uint8 (B,3,H,W); holds one batch, however many."""
    batch: list[np.ndarray] = []
    for _, pixels in stream_frames(path, frames_sec):
        batch.append(pixels)
        if len(batch) == size:
            yield _stacked(batch)
            batch = []
    if batch:
        yield _stacked(batch)


def _stacked(pixels: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
