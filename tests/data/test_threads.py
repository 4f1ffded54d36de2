"""Results come in the order of the items, from several threads at once, and never far ahead."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from pave.data.threads import in_order


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3 == 0))
        return item * item

    assert list(in_order(work, range(20), threads)) == [item * item for item in range(20)]


def test_as_many_items_are_worked_on_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert len(list(in_order(lambda _: meeting.wait(), range(6), 3))) == 6


def test_little_is_made_ahead() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(100), 2)
    next(results)
    assert len(begun) <= 6
    results.close()
    assert len(begun) <= 6


def test_an_error_is_raised_in_its_turn_and_ends_the_work() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item in (3, 4):
            raise ValueError(item)
        return item

    results = in_order(work, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)
    assert len(begun) < 12


def test_torch_computes_on_as_many_threads_as_here() -> None:
    assert set(in_order(lambda _: torch.get_num_threads(), range(4), 2)) == {torch.get_num_threads()}
