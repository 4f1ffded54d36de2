"""Side channels whose steps lie otherwise in time than an encoder puts them: uneven, sparse, late, or wrong."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from pave.errors import InputError
from pave.types import Sample, SideChannel

TIE_SEC = 1e-6
"""A moment half-way between two steps is taken from the later one: every step of an even signal is used once."""


@dataclass(frozen=True)
class Disturbance:
    """What is done to the steps of a side channel, in this order.

    After the first four, the steps that are left are at their true times; after the last two, times and values no
    longer belong together. Steps of one moment, such as those of several cameras, stay together in all but ``keep``
    and ``jitter_sec``.

    Args:
        every: Keep one moment of so many: the channel at a fraction of its rate.
        uneven_sec: Take each moment's steps so many seconds off it (standard deviation), and time them truly.
        keep: Share of the steps that is kept, chosen at random.
        late_sec: Seconds that are missing at the beginning; if below 0, at the end. In training a draw up to that,
            either way.
        shift_sec: Seconds by which the values are moved on between the times, the end round to the beginning. In
            training a draw up to that, either way.
        jitter_sec: Error of each time (standard deviation); steps are then sorted by the wrong times.

    Raises:
        InputError: On a value out of range.
    """

    every: int = 1
    uneven_sec: float = 0.0
    keep: float = 1.0
    late_sec: float = 0.0
    shift_sec: float = 0.0
    jitter_sec: float = 0.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"disturbance: every is {self.every}; it must be at least 1")
        if not 0 < self.keep <= 1:
            raise InputError(f"disturbance: keep is {self.keep}; it must be above 0, and at most 1")
        for name in ("uneven_sec", "jitter_sec"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"disturbance: {name} is {getattr(self, name)}; it must be 0 or more seconds")
        for name in ("late_sec", "shift_sec"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"disturbance: {name} is {getattr(self, name)}; give seconds")

    @classmethod
    def parse(cls, text: str) -> Disturbance:
        """Read ``name=value`` pairs between commas, such as ``keep=0.25,uneven_sec=0.2``.

        Raises:
            InputError: On an unknown name, or a value that is no number or out of range.
        """
        kinds = {item.name: int if item.name == "every" else float for item in fields(cls)}
        given = {}
        for pair in text.split(","):
            name, mark, value = pair.strip().partition("=")
            if not mark or name not in kinds:
                raise InputError(f"disturbance {text!r}: write name=value with names of {', '.join(kinds)}")
            try:
                given[name] = kinds[name](value)
            except ValueError:
                raise InputError(f"disturbance {text!r}: {name} is {value!r}; give a number") from None
        return cls(**given)  # type: ignore[arg-type]

    def drawn(self, rng: np.random.Generator) -> Disturbance:
        """Return the same with lateness and shift drawn, evenly from what is stated either way."""
        late_sec, shift_sec = (bound * rng.uniform(-1, 1) for bound in (self.late_sec, self.shift_sec))
        return replace(self, late_sec=late_sec, shift_sec=shift_sec)

    def apply(self, signal: SideChannel, rng: np.random.Generator) -> SideChannel:
        """Return a signal with this done to it."""
        moments = _Moments.of(signal)
        signal = _picked(signal, moments.steps_of(np.arange((self.every - 1) // 2, len(moments), self.every)))
        if self.uneven_sec and signal.steps:
            moments = _Moments.of(signal)
            wanted_sec = moments.times_sec + rng.normal(0, self.uneven_sec, len(moments))
            signal = _picked(signal, moments.steps_of(np.sort(_nearest(moments.times_sec, wanted_sec))))
        if self.keep < 1 and signal.steps:
            kept = rng.choice(signal.steps, max(1, round(self.keep * signal.steps)), replace=False)
            signal = _picked(signal, np.sort(kept))
        if self.late_sec:
            signal = _picked(signal, _after(signal.times_sec.numpy(), self.late_sec))
        if self.shift_sec:
            signal = shifted(signal, self.shift_sec)
        if self.jitter_sec:
            times_sec = signal.times_sec.numpy() + rng.normal(0, self.jitter_sec, signal.steps)
            order = np.argsort(times_sec, kind="stable")
            values = signal.values[torch.from_numpy(order)]
            signal = replace(signal, values=values, times_sec=torch.from_numpy(times_sec[order].clip(min=0)))
        return signal


@dataclass(frozen=True)
class Disturber:
    """Disturbs the side channels of samples, the same at each run.

    Args:
        disturbance: What is done.
        seed: Of what is drawn.
        training: Draw anew for each use of a sample; otherwise the same for a sample whenever it is used.
    """

    disturbance: Disturbance
    seed: int
    training: bool

    def __call__(self, channel: str, signal: SideChannel, sample: Sample, draw: int) -> SideChannel:
        """Return a side channel of a sample with this done to it; ``draw`` is the number of the use."""
        use = f"{draw}" if self.training else sample.id
        digest = hashlib.sha256(f"{self.seed} {channel} {use}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8]))
        disturbance = self.disturbance.drawn(rng) if self.training else self.disturbance
        return disturbance.apply(signal, rng)


def shifted(signal: SideChannel, by_sec: float) -> SideChannel:
    """Return a signal moved by some seconds: later if above 0, and the end comes round to the beginning.

    The steps keep their times and exchange their values, so that number and range stay; those of one moment take the
    values of one other, each of the step at its own place there. A signal that is no longer than the shift is moved
    by half its length instead, as far as it can be.
    """
    moments = _Moments.of(signal)
    if len(moments) < 2:
        return signal
    since_sec = moments.times_sec - moments.times_sec[0]
    length_sec = float(since_sec[-1]) * len(moments) / (len(moments) - 1)
    moved_sec = by_sec if abs(by_sec) < length_sec else math.copysign(length_sec / 2, by_sec)
    sources_sec = np.mod(since_sec - moved_sec + TIE_SEC, length_sec)
    sources = _nearest(np.append(since_sec, length_sec), sources_sec) % len(moments)
    source = sources[moments.moment]
    # Where a camera does not run, a moment has fewer steps than another.
    places = np.minimum(moments.place, moments.counts[source] - 1)
    return replace(signal, values=signal.values[torch.from_numpy(moments.firsts[source] + places)])


@dataclass(frozen=True)
class _Moments:
    """Which steps of a signal are of one moment.

    Args:
        times_sec: The moments, sorted.
        firsts: First step of each.
        counts: Steps of each.
        moment: Moment of each step.
    """

    times_sec: np.ndarray
    firsts: np.ndarray
    counts: np.ndarray
    moment: np.ndarray

    @classmethod
    def of(cls, signal: SideChannel) -> _Moments:
        times_sec, moment, counts = np.unique(signal.times_sec.numpy(), return_inverse=True, return_counts=True)
        return cls(times_sec, np.cumsum(counts) - counts, counts, moment)

    def __len__(self) -> int:
        return len(self.times_sec)

    @property
    def place(self) -> np.ndarray:
        """Place of each step among those of its moment."""
        return np.arange(len(self.moment)) - self.firsts[self.moment]

    def steps_of(self, moments: np.ndarray) -> np.ndarray:
        """Return the steps of some moments, one moment after the other."""
        counts = self.counts[moments]
        starts = np.cumsum(counts) - counts
        return np.repeat(self.firsts[moments] - starts, counts) + np.arange(counts.sum())


def _picked(signal: SideChannel, steps: np.ndarray) -> SideChannel:
    """Return some steps of a signal, each at its own time."""
    index = torch.from_numpy(steps)
    return replace(signal, values=signal.values[index], times_sec=signal.times_sec[index])


def _nearest(moments_sec: np.ndarray, wanted_sec: np.ndarray) -> np.ndarray:
    """Return the nearest of some moments, which are sorted, to each time that is wanted; of two, the earlier."""
    later = np.searchsorted(moments_sec, wanted_sec).clip(max=len(moments_sec) - 1)
    earlier = (later - 1).clip(min=0)
    return np.where(wanted_sec - moments_sec[earlier] <= moments_sec[later] - wanted_sec, earlier, later)


def _after(times_sec: np.ndarray, late_sec: float) -> np.ndarray:
    """Return the steps that are left if the beginning, or for a value below 0 the end, is missing."""
    if not len(times_sec):
        return np.arange(0)
    there = times_sec >= times_sec[0] + late_sec if late_sec > 0 else times_sec <= times_sec[-1] + late_sec
    return np.flatnonzero(there)
