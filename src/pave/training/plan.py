"""The order of samples of a whole run, fixed by its seed before it starts, so that a resumed run goes on exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from pave.data.dataset import SampleDataset
from pave.data.features import Features


def capped(count: int, cap: int | None, seed: int) -> np.ndarray:
    """Return the sorted indices of at most ``cap`` of ``count`` samples, chosen by the seed."""
    if cap is None or cap >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, count]).choice(count, cap, replace=False))


def sample_order(
    sizes: Sequence[int], weights: Sequence[float], length: int, seed: int, joins: Sequence[int] | None = None
) -> np.ndarray:
    """Return the samples of a run, one epoch after the other.

    Args:
        sizes: Samples of each source; they are numbered through, source after source.
        weights: How often an epoch holds each sample of a source.
        length: Samples that the run takes.
        seed: Of the order.
        joins: Samples that the run takes before each source is drawn from, 0 for one of them at least; a new epoch
            starts where a source joins. By default all are there from the start.

    Returns:
        Sample numbers (length,).
    """
    starts = np.cumsum([0, *sizes[:-1]])
    joins = joins or [0] * len(sizes)
    sources = list(zip(joins, starts, sizes, weights, strict=True))
    epochs: list[np.ndarray] = []
    taken = 0
    while taken < length:
        rng = np.random.default_rng([seed, len(epochs)])
        drawn = [_drawn(start, size, weight, rng) for join, start, size, weight in sources if join <= taken]
        until = min((join for join in joins if join > taken), default=length)
        epochs.append(rng.permutation(np.concatenate(drawn))[: until - taken])
        taken += len(epochs[-1])
    return np.concatenate(epochs)[:length]


def epoch_size(sizes: Sequence[int], weights: Sequence[float]) -> int:
    """Return the number of samples of one epoch."""
    return sum(_count(size, weight) for size, weight in zip(sizes, weights, strict=True))


def _count(size: int, weight: float) -> int:
    return max(1, round(size * weight))


def _drawn(start: int, size: int, weight: float, rng: np.random.Generator) -> np.ndarray:
    whole, rest = divmod(_count(size, weight), size)
    repeated = np.tile(np.arange(size), whole)
    return start + np.concatenate([repeated, rng.choice(size, rest, replace=False)])


class PlannedDataset(Dataset[Features]):
    """A data set in the order of a plan, each item as often as the plan says.

    Args:
        samples: The data set; the place in the plan is the number of each draw.
        order: Sample numbers, in the order in which they are to come.
    """

    def __init__(self, samples: SampleDataset, order: np.ndarray) -> None:
        self.samples = samples
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Features:
        return self.samples.item(int(self.order[index]), index)
