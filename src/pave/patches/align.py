"""Which side steps each video step may see: windows in seconds, the reference's equal split by index, or all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """One contiguous run of side steps for each video step: step i sees side steps ``starts[i]`` up to ``stops[i]``.

    Args:
        starts: First side step of each window (T,).
        stops: One past the last side step of each window (T,); equal to the start where the window is empty.
    """

    starts: Integers
    stops: Integers

    @property
    def counts(self) -> Integers:
        """Number of side steps in each window (T,)."""
        return self.stops - self.starts


@dataclass(frozen=True)
class Resampling:
    """Linear interpolation of K side steps to T: step j is ``lower[j]`` and ``upper[j]`` mixed by ``fraction[j]``.

    Args:
        lower: Side step at or before each new one (T,).
        upper: Side step after it (T,); the last step repeats at the end.
        fraction: Weight of the upper step (T,), from 0 up to, not including, 1.
    """

    lower: Integers
    upper: Integers
    fraction: Seconds

    def apply(self, times_sec: Seconds) -> Seconds:
        """Return the times (T,) of the new steps from those of the side steps (K,), in seconds."""
        return times_sec[self.lower] * (1 - self.fraction) + times_sec[self.upper] * self.fraction

    def matrix(self) -> NDArray[np.float64]:
        """Return the weights (T,K) of the side steps in each new step; every row sums to 1."""
        weights = np.zeros((len(self.lower), int(self.upper[-1]) + 1))
        steps = np.arange(len(self.lower))
        np.add.at(weights, (steps, self.lower), 1 - self.fraction)
        np.add.at(weights, (steps, self.upper), self.fraction)
        return weights


def time_windows(query_times_sec: Seconds, side_times_sec: Seconds, overlap_sec: float = 0.0) -> Windows:
    """Return the windows between the midpoints of neighbouring video steps, widened at both sides.

    Step i sees the side steps whose times lie from the midpoint to its predecessor up to, not including, the midpoint
    to its successor. The first and the last window are open to the outside, so that nothing at the ends is lost.

    Args:
        query_times_sec: Sorted times of the video steps (T,), seconds.
        side_times_sec: Sorted times of the side steps (K,), seconds.
        overlap_sec: Seconds by which both sides of each window are widened.
    """
    steps = len(query_times_sec)
    midpoints = (query_times_sec[:-1] + query_times_sec[1:]) / 2
    starts = np.zeros(steps, dtype=np.int64)
    stops = np.full(steps, len(side_times_sec), dtype=np.int64)
    starts[1:] = np.searchsorted(side_times_sec, midpoints - overlap_sec)
    stops[:-1] = np.searchsorted(side_times_sec, midpoints + overlap_sec)
    return Windows(starts, stops)


def index_windows(steps: int, side_steps: int) -> Windows:
    """Return the reference's split of K side steps into T runs: lengths differ by one at most, longer ones first."""
    length, longer = divmod(side_steps, steps)
    counts = np.full(steps, length, dtype=np.int64)
    counts[:longer] += 1
    stops = np.cumsum(counts)
    return Windows(stops - counts, stops)


def whole_windows(steps: int, side_steps: int) -> Windows:
    """Return windows of all K side steps for each of T video steps."""
    return Windows(np.zeros(steps, dtype=np.int64), np.full(steps, side_steps, dtype=np.int64))


def stretch(side_steps: int, steps: int) -> Resampling:
    """Return the linear interpolation from K side steps to T > K with the end points aligned.

    New step j reads position ``j (K - 1) / (T - 1)``. The reference states the length as a rounded factor, so that it
    comes out one step short for some sizes; here it is always T.
    """
    positions = np.arange(steps) * (side_steps - 1) / max(steps - 1, 1)
    lower = np.floor(positions).astype(np.int64)
    return Resampling(lower, np.minimum(lower + 1, side_steps - 1), positions - lower)
