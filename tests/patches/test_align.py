"""Windows of side steps, and interpolation in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pave.patches.align import Windows, index_windows, stretch, time_windows

seconds = st.lists(st.integers(0, 80).map(lambda quarter: quarter / 4), max_size=12).map(
    lambda times: np.array(sorted(times), dtype=np.float64)
)
some_seconds = seconds.filter(len)


def visits(windows: Windows, side_steps: int) -> np.ndarray:
    """Return in how many windows each side step lies."""
    counts = np.zeros(side_steps, dtype=int)
    for start, stop in zip(windows.starts, windows.stops, strict=True):
        counts[start:stop] += 1
    return counts


def test_side_steps_go_to_the_video_step_nearest_in_time() -> None:
    windows = time_windows(np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.4, 1.5, 2.9, 3.0, 9.0]))
    assert windows.starts.tolist() == [0, 2, 4]
    assert windows.stops.tolist() == [2, 4, 6]


def test_overlap_widens_every_inner_border_on_both_sides() -> None:
    windows = time_windows(np.array([1.0, 2.0]), np.array([1.0, 1.25, 1.5, 1.75, 2.0]), overlap_sec=0.25)
    assert windows.starts.tolist() == [0, 1]
    assert windows.stops.tolist() == [3, 5]


@given(some_seconds, seconds)
def test_without_overlap_every_side_step_is_in_exactly_one_window(query: np.ndarray, side: np.ndarray) -> None:
    assert (visits(time_windows(query, side), len(side)) == 1).all()


@given(some_seconds, seconds, st.sampled_from([0.25, 1.0, 7.5]))
def test_overlap_only_adds(query: np.ndarray, side: np.ndarray, overlap: float) -> None:
    narrow, wide = time_windows(query, side), time_windows(query, side, overlap)
    assert (wide.starts <= narrow.starts).all()
    assert (wide.stops >= narrow.stops).all()
    assert (wide.counts >= 0).all()


@given(some_seconds, seconds, st.integers(0, 100))
def test_windows_depend_on_time_differences_only(query: np.ndarray, side: np.ndarray, shift: int) -> None:
    here, there = time_windows(query, side), time_windows(query + shift, side + shift)
    assert (here.starts == there.starts).all()
    assert (here.stops == there.stops).all()


@pytest.mark.parametrize(
    ("steps", "side_steps", "expected"),
    [(32, 59, [2] * 27 + [1] * 5), (32, 70, [3] * 6 + [2] * 26), (32, 120, [4] * 24 + [3] * 8), (3, 2, [1, 1, 0])],
)
def test_index_split_gives_the_first_steps_one_more(steps: int, side_steps: int, expected: list[int]) -> None:
    assert index_windows(steps, side_steps).counts.tolist() == expected


@given(st.integers(1, 40), st.integers(0, 120))
def test_index_split_uses_every_side_step_once(steps: int, side_steps: int) -> None:
    assert (visits(index_windows(steps, side_steps), side_steps) == 1).all()


@given(st.integers(1, 40), st.integers(1, 40))
def test_stretching_keeps_the_ends_and_straight_lines(side_steps: int, more: int) -> None:
    steps = side_steps + more
    stretched = stretch(side_steps, steps).apply(np.arange(side_steps, dtype=np.float64))
    expected = np.linspace(0, side_steps - 1, steps)
    np.testing.assert_allclose(stretched, expected, atol=1e-12)


@pytest.mark.parametrize(("side_steps", "steps"), [(49, 64), (11, 15), (13, 15), (11, 30), (26, 30)])
def test_stretching_never_comes_out_one_short(side_steps: int, steps: int) -> None:
    """Sizes for which the reference's rounded factor loses the last step."""
    assert np.floor(side_steps * (steps / side_steps)) == steps - 1
    assert len(stretch(side_steps, steps).lower) == steps


@given(st.integers(1, 20), st.integers(1, 20))
def test_the_matrix_is_the_interpolation(side_steps: int, more: int) -> None:
    resampling = stretch(side_steps, side_steps + more)
    matrix = resampling.matrix()
    assert matrix.shape == (side_steps + more, side_steps)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    times = np.sort(np.random.default_rng(side_steps).random(side_steps))
    np.testing.assert_allclose(matrix @ times, resampling.apply(times), atol=1e-12)
