"""Times variants of one piece of work in turn, so that whatever else the machine does hits them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def in_turn(variants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Return seconds of each variant, and how many times as long as the first one each of the others takes.

    Ratios are taken within a round, and their median over the rounds; the order turns from round to round.
    """
    names = list(variants)
    times: dict[str, list[float]] = {name: [] for name in names}
    # The first round is not counted: it warms what can be warmed.
    for index in range(-1, rounds):
        for place in range(len(names)):
            name = names[(index + place) % len(names)]
            seconds = _timed(variants[name])
            if index >= 0:
                times[name].append(seconds)
    first, *others = names
    return {
        "median_sec": {name: statistics.median(sec) for name, sec in times.items()},
        "ratio": {
            name: statistics.median(own / base for own, base in zip(times[name], times[first], strict=True))
            for name in others
        },
        "sec": times,
    }


def _timed(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
