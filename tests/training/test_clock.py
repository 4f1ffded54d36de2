"""A step's time is that of its work, not of handing it over."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pave.training import clock
from pave.training.clock import Clock


class Accelerator:
    """Works on for two seconds after it was given something to do."""

    def __init__(self) -> None:
        self.now = self.busy_until = 0.0

    def work(self) -> None:
        self.busy_until = self.now + 2.0

    def synchronize(self) -> None:
        self.now = max(self.now, self.busy_until)


def test_what_an_accelerator_still_does_is_part_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Accelerator()
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "synchronize", device.synchronize)
    monkeypatch.setattr(clock.time, "perf_counter", lambda: device.now)
    nothing: Any = None
    watch = Clock()
    for _ in range(2):
        watch.on_step_begin(nothing, nothing, nothing)
        device.work()
        watch.on_step_end(nothing, nothing, nothing)
        device.work()
    assert watch.seconds == [2.0, 2.0]
