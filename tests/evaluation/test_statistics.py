"""Bootstrap over clusters: against known cases, a plain loop, and its own seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pave.evaluation.statistics import clustered_interval

SCORES = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40)


@given(SCORES, st.integers(0, 3))
def test_interval_holds_possible_means_and_repeats(samples: list[tuple[bool, int]], seed: int) -> None:
    scores, clusters = zip(*samples, strict=True)
    low, high = clustered_interval(scores, clusters, seed, resamples=200)
    assert 0 <= low <= high <= 1
    assert (low, high) == clustered_interval(scores, clusters, seed, resamples=200)


def test_one_cluster_leaves_no_doubt_about_its_own_mean() -> None:
    assert clustered_interval([1, 0, 1, 1], ["a"] * 4, 0) == (0.75, 0.75)


def test_width_is_the_binomial_one_for_single_clusters() -> None:
    scores = np.repeat([0, 1], [400, 600])
    low, high = clustered_interval(scores, range(1000), 0)
    spread = 1.96 * np.sqrt(0.6 * 0.4 / 1000)
    assert low == pytest.approx(0.6 - spread, abs=0.006)
    assert high == pytest.approx(0.6 + spread, abs=0.006)


def test_dependence_widens_it() -> None:
    scores = np.repeat([0, 1], [400, 600])
    alone = clustered_interval(scores, range(1000), 0)
    tens = clustered_interval(scores, np.arange(1000) // 10, 0)
    assert (tens[1] - tens[0]) / (alone[1] - alone[0]) == pytest.approx(np.sqrt(10), rel=0.15)


def test_agrees_with_a_plain_loop_on_uneven_clusters() -> None:
    groups = [[1] * 20, [0] * 3, [0], [0], [1], [1, 0]]
    scores = [score for group in groups for score in group]
    clusters = [number for number, group in enumerate(groups) for _ in group]
    rng = np.random.default_rng(7)
    means = []
    for _ in range(4000):
        means.append(np.mean([score for index in rng.integers(6, size=6) for score in groups[index]]))
    expected = np.quantile(means, [0.05, 0.95])
    found = clustered_interval(scores, clusters, 0, confidence=0.9, resamples=4000)
    assert found == pytest.approx(expected, abs=0.02)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, clusters = [1, 0, 1, 0, 1], [0, 1, 2, 3, 3]
    whole = clustered_interval(scores, clusters, 3)
    monkeypatch.setattr("pave.evaluation.statistics.BLOCK", 7)
    assert clustered_interval(scores, clusters, 3) == whole


@pytest.mark.parametrize(("scores", "clusters"), [([], []), ([1, 0], ["a"])])
def test_nothing_to_resample_is_an_error(scores: list[int], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match="give one cluster a score, and at least one"):
        clustered_interval(scores, clusters, 0)
