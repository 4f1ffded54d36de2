"""Band-limited resampling by a windowed sinc, with the filter that the reference resamples sound with, in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

ZERO_CROSSINGS = 6
ROLL_OFF = 0.99
"""Cut-off frequency, as a share of half the lower of the two sample rates."""


def resampled(pieces: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """Return sound at another sample rate, piece by piece; memory stays bounded.

    Args:
        pieces: Consecutive pieces float32 (L,).
        rate: Their samples a second.
        new_rate: Samples a second to resample to; L samples become ``ceil(L * new_rate / rate)``.
    """
    if rate == new_rate:
        yield from pieces
        return
    shared = math.gcd(rate, new_rate)
    step, phases = rate // shared, new_rate // shared
    reach, taps = _filter(step, phases)
    # held[i] is sample ``start + i``; what precedes the sound is silence.
    held, start, made, read = np.zeros(reach, np.float32), -reach, 0, 0
    for piece in pieces:
        held = np.concatenate([held, piece])
        read += len(piece)
        # An output needs the samples up to ``reach + 1`` beyond its place.
        ready = max(made, (start + len(held) - reach - 2) * phases // step)
        yield _convolved(held, start, range(made, ready), step, phases, taps)
        made = ready
        passed = min(max(0, made * step // phases - reach - start), len(held))
        held, start = held[passed:], start + passed
    held = np.pad(held, (0, reach + 2))
    yield _convolved(held, start, range(made, -(-read * phases // step)), step, phases, taps)


def _filter(step: int, phases: int) -> tuple[int, np.ndarray]:
    """Return how many samples the filter reaches to either side, and its taps (phases, 2 reach + 2).

    Outputs of one phase lie at the same fraction of a sample after the sample before them.
    """
    cutoff = np.float32(ROLL_OFF * min(step, phases))
    reach = math.ceil(ZERO_CROSSINGS * step / cutoff)
    phase = np.arange(phases)
    places = (phase * step // phases)[:, None] + np.arange(-reach, reach + 2)
    # In the precision of the sound and in this order, since rounding here is heard in the taps.
    time = places.astype(np.float32) / np.float32(step) - (phase.astype(np.float32) / np.float32(phases))[:, None]
    time = np.clip(time * cutoff, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    hann = np.cos(time * np.float32(math.pi / ZERO_CROSSINGS / 2)) ** 2
    return reach, (np.sinc(time) * hann * (cutoff / np.float32(step))).astype(np.float32)


def _convolved(held: np.ndarray, start: int, outputs: range, step: int, phases: int, taps: np.ndarray) -> np.ndarray:
    """Return outputs of these numbers, from the samples that are held from ``start`` on."""
    if not outputs:
        return np.zeros(0, np.float32)
    numbers = np.arange(outputs.start, outputs.stop)
    windows = np.lib.stride_tricks.sliding_window_view(held, taps.shape[1])
    before = numbers * step // phases - (taps.shape[1] - 2) // 2 - start
    return np.einsum("ij,ij->i", windows[before], taps[numbers % phases]).astype(np.float32)
