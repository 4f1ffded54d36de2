"""Executes runs, each in a process of its own, several at once if asked, and goes on when one of them fails."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from pave.blindspot.study.places import Places
from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Run
from pave.errors import InputError

TOLD_EVERY_SEC = 0.5
DONE, FAILED = "done", "failed"
QUESTIONS_A_STEP = 10
"""Questions that take about as long as a step of training; for the time left only."""


@dataclass(frozen=True)
class Event:
    """What a person is told.

    Args:
        run: The run.
        what: What it does; ``DONE`` or ``FAILED`` at its end.
        done: How much of that is done.
        total: How much of it there is.
        text: Why it failed.
    """

    run: Run
    what: str
    done: int = 0
    total: int = 0
    text: str = ""


Listener = Callable[[Event], None]


def work_of(run: Run) -> float:
    """Return the size of a run, in steps of training, roughly."""
    return run.steps + run.questions / QUESTIONS_A_STEP


@dataclass
class Executor:
    """Executes the runs of a plan.

    Args:
        runs: All runs of the plan by name.
        places: Where work is kept.
        results: Where results are written.
        listener: Told of everything.
        jobs: Processes at once.
    """

    runs: Mapping[str, Run]
    places: Places
    results: Results
    listener: Listener
    jobs: int = 1
    _running: dict[str, BaseProcess] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    def execute(self, chosen: Sequence[Run]) -> dict[str, str]:
        """Execute runs whose sets are there, and return the reason of each that failed."""
        context = multiprocessing.get_context("spawn")
        told: Any = context.Queue()
        waiting = list(chosen)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    self._start(context, waiting.pop(0), told)
                self._listen(told)
                for name in [name for name, process in self._running.items() if not process.is_alive()]:
                    self._end(name, told)
        finally:
            for process in self._running.values():
                process.terminate()
                process.join()
        return self._failed

    def _start(self, context: Any, run: Run, told: Any) -> None:
        needed = {name: self.runs[name] for name in run.needs}
        threads = max(1, (os.cpu_count() or 1) // self.jobs) if self.jobs > 1 else None
        process = context.Process(target=_in_process, args=(run, needed, self.places, self.results, threads, told))
        process.start()
        self._running[run.name] = process
        self.listener(Event(run, "starting"))

    def _listen(self, told: Any, wait_sec: float = TOLD_EVERY_SEC) -> None:
        """Wait a moment for what processes tell, and pass on all that was told by then."""
        while True:
            try:
                name, what, done, total, text = told.get(timeout=wait_sec)
            except queue.Empty:
                return
            wait_sec = 0.0
            if what == FAILED:
                self._failed[name] = text
            self.listener(Event(self.runs[name], what, done, total, text))

    def _end(self, name: str, told: Any) -> None:
        process = self._running.pop(name)
        process.join()
        self._listen(told, 0.0)
        if process.exitcode == 0:
            self.listener(Event(self.runs[name], DONE))
        elif name not in self._failed:
            self._failed[name] = f"its process ended with code {process.exitcode}; run the study again to go on"
            self.listener(Event(self.runs[name], FAILED, text=self._failed[name]))


def _in_process(
    run: Run, needed: Mapping[str, Run], places: Places, results: Results, threads: int | None, told: Any
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _write_to(places, run)
    import torch

    from pave.blindspot.study.perform import perform

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        perform(run, needed, places, results, _Teller(run.name, told))
    except Exception as error:
        traceback.print_exc()
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        told.put((run.name, FAILED, 0, 0, f"{' '.join(reason.split())} (more in {places.log(run)})"))
        sys.exit(1)


def _end_with_parent() -> None:
    """Die with the study, however that died: nobody would take note of what is done here."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_to(places: Places, run: Run) -> None:
    """Send what is written to a file: several processes share the screen."""
    from transformers.utils import logging as transformers_logging

    places.log(run).parent.mkdir(parents=True, exist_ok=True)
    file = places.log(run).open("a", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file.fileno(), stream.fileno())
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    logging.getLogger("pave").setLevel(logging.INFO)


class _Teller:
    """Tells the study how far a run is, now and then."""

    def __init__(self, name: str, told: Any) -> None:
        self._name, self._told = name, told
        self._last = ("", 0.0)

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._last[0] or now - self._last[1] >= TOLD_EVERY_SEC:
            self._last = (what, now)
            self._told.put((self._name, what, done, total, ""))
