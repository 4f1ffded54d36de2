"""Work on files in several threads, its results in the order of the files.

Decoders and torch's operations let other threads run meanwhile; nothing is copied between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield what ``work`` makes of each item, in their order; at most two results a thread are made ahead.

    Args:
        work: Called once for each item; what it raises is raised in the item's turn.
        items: The items.
        threads: How many; 0 or 1 to work here, when a result is asked for.
    """
    if threads < 2:
        yield from map(work, items)
        return
    # On torch's own threads the last digits of results depend: as many for each as here.
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),))
    coming: deque[Future[Result]] = deque()
    try:
        for item in items:
            coming.append(pool.submit(work, item))
            if len(coming) > 2 * threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
