"""The order of a run: every epoch holds what the weights say, and the seed decides the rest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pave.training.plan import PlannedDataset, capped, epoch_size, sample_order

SOURCES = st.lists(st.tuples(st.integers(1, 30), st.floats(0.1, 3)), min_size=1, max_size=4)


@given(SOURCES, st.integers(0, 5), st.integers(1, 4))
def test_each_epoch_holds_each_source_in_its_weight(sources: list[tuple[int, float]], seed: int, epochs: int) -> None:
    sizes, weights = zip(*sources, strict=True)
    size = epoch_size(sizes, weights)
    order = sample_order(sizes, weights, size * epochs, seed)
    starts = np.cumsum([0, *sizes])
    for epoch in order.reshape(epochs, size):
        times = np.bincount(epoch, minlength=starts[-1])
        for start, count, weight in zip(starts, sizes, weights, strict=False):
            own = times[start : start + count]
            assert own.sum() == max(1, round(count * weight))
            assert own.max() - own.min() <= 1


@given(SOURCES, st.integers(0, 5), st.integers(1, 50), st.integers(0, 50))
def test_a_longer_run_starts_like_a_shorter_one(
    sources: list[tuple[int, float]], seed: int, length: int, more: int
) -> None:
    sizes, weights = zip(*sources, strict=True)
    short, long = (sample_order(sizes, weights, count, seed) for count in (length, length + more))
    assert len(short) == length
    assert np.array_equal(short, long[:length])


@given(SOURCES, st.integers(0, 5), st.integers(0, 60))
def test_a_source_is_not_drawn_from_before_it_joins(sources: list[tuple[int, float]], seed: int, join: int) -> None:
    sizes, weights = zip(*[(7, 1.0), *sources], strict=True)
    joins = [0] + [join] * len(sources)
    order = sample_order(sizes, weights, join + epoch_size(sizes, weights), seed, joins)
    assert (order[:join] < 7).all()
    assert np.bincount(order[join:], minlength=sum(sizes))[7:].sum() == epoch_size(sizes[1:], weights[1:])


def test_seed_and_epoch_change_the_order() -> None:
    order = sample_order([50], [1.0], 100, 0)
    assert not np.array_equal(order[:50], order[50:])
    assert not np.array_equal(order, sample_order([50], [1.0], 100, 1))


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 5))
def test_cap_chooses_distinct_samples(count: int, cap: int, seed: int) -> None:
    chosen = capped(count, cap, seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, cap)
    assert chosen.min() >= 0 and chosen.max() < count
    assert np.array_equal(chosen, capped(count, cap, seed))
    assert np.array_equal(capped(count, None, seed), np.arange(count))


def test_planned_dataset_follows_the_order() -> None:
    class Samples:
        def item(self, index: int, draw: int) -> tuple[str, int]:
            return "abc"[index], draw

    planned = PlannedDataset(Samples(), np.array([2, 0, 0]))
    assert [planned[index] for index in range(len(planned))] == [("c", 0), ("a", 1), ("a", 2)]
