"""What an evaluation does to side channels: silences, swaps and moves them, mistakes their times, loses steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pave.blindspot.study.run import Change, Evaluation
from pave.evaluation.alterations import AlteredMedia, shifted, shuffled_donors, zeroed
from pave.evaluation.asking import Media
from pave.types import Sample, SideChannel

SEED = 0


def altered_samples(samples: Sequence[Sample], without: Sequence[str]) -> list[Sample]:
    """Return samples that lack some channels."""
    return [
        replace(sample, side={channel: path for channel, path in sample.side.items() if channel not in without})
        for sample in samples
    ]


def altered_media(media: Media, evaluation: Evaluation, samples: Sequence[Sample]) -> Media:
    """Return media with the side channels that an evaluation gives."""
    change = evaluation.change
    donors = shuffled_donors(samples, SEED) if change.other_clip else None
    if change == Change():
        return media
    return AlteredMedia(media, lambda sample, signal: changed(change, sample, signal), donors)


def changed(change: Change, sample: Sample, signal: SideChannel) -> SideChannel:
    """Return a side channel with everything done to it that a change says."""
    if change.zeroed:
        signal = zeroed(sample, signal)
    if change.move_sec:
        signal = shifted(change.move_sec)(sample, signal)
    if change.late_sec:
        signal = _picked(signal, signal.times_sec.numpy() >= change.late_sec)
    rng = np.random.default_rng([SEED, *sample.id.encode()])
    if change.drop:
        signal = _picked(signal, rng.random(signal.steps) >= change.drop)
    if change.jitter_sec or change.clock_sec:
        wrong_sec = change.clock_sec + change.jitter_sec * rng.uniform(-1, 1, signal.steps)
        signal = _timed(signal, np.maximum(signal.times_sec.numpy() + wrong_sec, 0))
    return signal


def _picked(signal: SideChannel, kept: np.ndarray) -> SideChannel:
    places = torch.from_numpy(np.flatnonzero(kept))
    return replace(signal, values=signal.values[places], times_sec=signal.times_sec[places])


def _timed(signal: SideChannel, times_sec: np.ndarray) -> SideChannel:
    """Return a signal whose steps have other times, in the order of those."""
    order = np.argsort(times_sec, kind="stable")
    return replace(signal, values=signal.values[torch.from_numpy(order)], times_sec=torch.from_numpy(times_sec[order]))
