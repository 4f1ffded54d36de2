"""The most memory that a stretch of code holds, measured by the allocators themselves."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile


class Peak:
    """Bytes held at the peak beyond those that were held before; known when the measurement has ended."""

    extra = 0


@contextmanager
def measured_peak(device: torch.device) -> Iterator[Peak]:
    """Measure what tensors on a device take inside this.

    On the CPU the profiler lists every allocation, which makes the code slower.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak.extra = torch.cuda.max_memory_allocated(device) - before
        return
    # What is freed inside, but was made before, would be counted as if it made room.
    gc.collect()
    with _hushed():
        profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        profiler.start()
    try:
        yield peak
    finally:
        with _hushed():
            profiler.stop()
    assert profiler.profiler is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak.extra = max(peak.extra, held)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep quiet what the profiler's C++ part notes down on standard error at each start and stop."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
