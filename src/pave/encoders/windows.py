"""Sliding windows over a stream of sound, in seconds: the steps of a side channel made from sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pave.errors import InputError
from pave.media.audio import stream_audio


@dataclass(frozen=True)
class Windows:
    """Windows of ``window_sec`` that start every ``hop_sec``, from zero on the video's clock.

    They go on until the sound is covered; the last one is filled up with silence.

    Args:
        window_sec: Length of a window.
        hop_sec: From the start of one window to the start of the next.
        sample_rate: Of the sound.
    """

    window_sec: float
    hop_sec: float
    sample_rate: int

    def __post_init__(self) -> None:
        for name in ("window_sec", "hop_sec"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value * self.sample_rate >= 1):
                raise InputError(f"{name} is {value}; it must be at least one sample, 1/{self.sample_rate} s")

    @property
    def samples(self) -> int:
        """Samples in a window; a fraction counts whole, so that windows side by side leave no sample out."""
        return math.ceil(round(self.window_sec * self.sample_rate, 6))

    def count(self, samples: int) -> int:
        """Return the number of windows K over ``samples`` of sound."""
        if samples == 0:
            return 0
        last = math.floor(max(0, samples - self.samples) / (self.hop_sec * self.sample_rate))
        while self._start(last) + self.samples < samples:
            last += 1
        return 1 + last

    def times_sec(self, count: int) -> Tensor:
        """Return the centres of the first ``count`` windows (K,)."""
        return torch.arange(count, dtype=torch.float64) * self.hop_sec + self.window_sec / 2

    def over(self, path: Path, offset_sec: float, batch_size: int) -> Iterator[np.ndarray] | None:
        """Return batches of windows float32 (B,L) over a file's sound, or ``None`` if it has no sound track.

        Holds one batch and one piece of the sound, however long the file.
        """
        pieces = stream_audio(path, self.sample_rate, offset_sec=offset_sec)
        return None if pieces is None else _batches(self._slide(pieces), batch_size)

    def _slide(self, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        held = np.zeros(0, np.float32)
        held_from = 0
        given = 0
        for piece in pieces:
            held = np.concatenate([held, piece])
            while self._start(given) + self.samples <= held_from + len(held):
                yield held[self._start(given) - held_from :][: self.samples]
                given += 1
            passed = min(max(0, self._start(given) - held_from), len(held))
            held, held_from = held[passed:], held_from + passed
        while given < self.count(held_from + len(held)):
            rest = held[max(0, self._start(given) - held_from) :]
            yield np.pad(rest, (0, self.samples - len(rest)))
            given += 1

    def _start(self, step: int) -> int:
        # Rounded for each step afresh, so that a hop of a fraction of a sample does not drift over hours.
        return round(step * self.hop_sec * self.sample_rate)


def _batches(windows: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for window in windows:
        batch.append(window)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
