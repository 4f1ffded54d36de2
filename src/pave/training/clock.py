"""Times the steps of a training, and tells how far it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

WARM_UP = 3
"""First steps that are not counted: caches fill, memory is first taken."""


class Clock(TrainerCallback):
    """Measures the seconds of each step.

    Args:
        tell: Called after each with the steps done and all of them.
    """

    def __init__(self, tell: Callable[[int, int], None] | None = None) -> None:
        self.seconds: list[float] = []
        self._tell = tell
        self._started = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        """Start the watch."""
        self._started = _now()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        """Stop the watch."""
        self.seconds.append(_now() - self._started)
        if self._tell is not None:
            self._tell(state.global_step, state.max_steps)

    @property
    def seconds_a_step(self) -> float | None:
        """Median over the steps of this process, without the first few; ``None`` if there were no more than those."""
        counted = self.seconds[WARM_UP:]
        return statistics.median(counted) if counted else None


def _now() -> float:
    """Return the time at which all that was begun is done: accelerators work on after a call has returned."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()
