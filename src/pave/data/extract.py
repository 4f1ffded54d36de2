"""Runs encoders and towers over whole data sets, once: a plan of files, workers that fill a store, and a tally."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from pave import encoders
from pave.config import check_choices
from pave.data.extract_worker import VIDEO, Job, Outcome, Task, Work, start
from pave.data.jsonl import read_samples
from pave.data.progress import progress_bar
from pave.data.store import FeatureStore, StoreError
from pave.data.store_item import Dtype
from pave.errors import InputError
from pave.quiet import quieten
from pave.types import Sample

logger = logging.getLogger(__name__)

QUEUED = 4
"""Tasks that wait for each worker, so that none is idle."""


@dataclass(frozen=True)
class ExtractConfig:
    """An extraction.

    Args:
        data: Data sets.
        job: Encoders, base and store.
        dtype: Float type of a new store; ``None`` for that of the store that is there, and bf16 for a new one.
        workers: Processes that work at once.
        engine: ``local`` processes, or those of a ``ray`` cluster that sees the same files.
        gpus: GPUs that Ray gives to each worker.
        verify: Check every item of the store first; what fails its checksum is dropped, and made again if asked for.
        prune: Afterwards drop every item that this data and these encoders do not ask for.

    Raises:
        InputError: On a value out of range, or if there is nothing to extract.
    """

    data: tuple[Path, ...]
    job: Job
    dtype: Dtype | None = None
    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    gpus: float = 0.0
    verify: bool = False
    prune: bool = False

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.data:
            raise InputError("extract: data is empty; name at least one data set")
        if not self.job.encoders and self.job.frames is None:
            raise InputError("extract: there is nothing to extract; name a patch, a training file or settings")
        for name, value, least in (("workers", self.workers, 1), ("gpus", self.gpus, 0)):
            if value < least:
                raise InputError(f"extract: {name} is {value}; it must be at least {least}")
        if self.job.max_gb is not None and not self.job.max_gb > 0:
            raise InputError(f"extract: max_gb is {self.job.max_gb}; it must be above 0")


@dataclass
class ExtractResult:
    """What an extraction ended with.

    Args:
        counts: Channel to the numbers of ``done``, ``cached``, ``absent`` (of both) and ``skipped`` files.
        skipped: The skipped files and why.
        seconds: Time that it took.
        gigabytes: Size of the store, in units of 10^9 bytes.
        dropped: Items that failed their checksum.
        pruned: Items that nobody asked for.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    skipped: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    gigabytes: float = 0.0
    dropped: int = 0
    pruned: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        counts = self.counts[outcome.task.channel]
        counts[outcome.status] += 1
        counts["absent"] += outcome.absent
        if outcome.status == "skipped":
            self.skipped.append(outcome)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        names = ("done", "cached", "absent", "skipped")
        return {
            "channels": {channel: {name: counts[name] for name in names} for channel, counts in self.counts.items()},
            "skipped": [
                {"channel": one.task.channel, "file": str(one.task.path), "why": one.why} for one in self.skipped
            ],
            "seconds": self.seconds,
            "gigabytes": self.gigabytes,
            "dropped": self.dropped,
            "pruned": self.pruned,
        }


def extract(config: ExtractConfig) -> ExtractResult:
    """Fill a store with what data sets ask for, and pack it; a second run finds it all there.

    Raises:
        InputError: If configuration, data, encoders, base or store cannot be used; a file that cannot is skipped.
    """
    started = time.monotonic()
    result = ExtractResult()
    made = {channel: encoders.build(settings) for channel, settings in config.job.encoders.items()}
    config, stored = _without_reads(config, made)
    samples = [sample for path in config.data for sample in read_samples(path, list(made))]
    tasks = plan(samples, stored, videos=config.job.frames is not None)
    with FeatureStore(config.job.store, config.dtype, config.job.max_gb) as store:
        store.check_writable()
        if config.verify:
            result.dropped = len(store.verify())
    result.counts = {task.channel: Counter() for task in tasks}
    keys, began = set(), time.monotonic()
    with progress_bar("files") as bar:
        bar_task = bar.add_task("extracting", total=len(tasks), note="")
        for count, outcome in enumerate(_outcomes(config, tasks), start=1):
            if outcome.status == "failed":
                raise StoreError(outcome.why)
            result.add(outcome)
            keys.add(outcome.key)
            rate = count / (time.monotonic() - began)
            bar.update(bar_task, completed=count, note=f"{rate:.3g} files/s, {len(result.skipped)} skipped")
    if config.prune:
        result.pruned = store.prune(keys)
    store.compact()
    result.skipped.sort(key=lambda outcome: (outcome.task.channel, str(outcome.task.path)))
    result.gigabytes = store.size_bytes / 1e9
    result.seconds = time.monotonic() - started
    return result


def plan(samples: Sequence[Sample], made: dict[str, encoders.Encoder], videos: bool) -> list[Task]:
    """Return each distinct file of data sets once, in their order.

    Args:
        samples: The samples.
        made: The encoders by channel.
        videos: Whether the base's own video tokens are wanted, too.
    """
    tasks: dict[Task, None] = {}
    for sample in samples:
        if videos and sample.video is not None:
            tasks[Task(VIDEO, sample.video.absolute())] = None
        for channel, encoder in made.items():
            path = sample.side.get(channel)
            if path is not None:
                video = sample.video.absolute() if encoder.needs_video and sample.video is not None else None
                tasks[Task(channel, path.absolute(), video)] = None
    return list(tasks)


def _without_reads(
    config: ExtractConfig, made: dict[str, encoders.Encoder]
) -> tuple[ExtractConfig, dict[str, encoders.Encoder]]:
    """Leave out channels whose files hold the features already."""
    stored = {channel: encoder for channel, encoder in made.items() if not encoder.only_reads}
    for channel in made.keys() - stored.keys():
        logger.warning("channel %r is read from files that hold its features; there is nothing to extract", channel)
    settings = {channel: config.job.encoders[channel] for channel in stored}
    threads = config.job.threads or max(1, (os.cpu_count() or 1) // config.workers)
    job = replace(config.job, store=config.job.store.absolute(), encoders=settings, threads=threads)
    return replace(config, job=job), stored


def _outcomes(config: ExtractConfig, tasks: Sequence[Task]) -> Iterator[Outcome]:
    if config.engine == "ray":
        from pave.data.extract_ray import outcomes_of_ray

        return outcomes_of_ray(config.job, tasks, config.workers, config.gpus)
    return _in_processes(config.job, tasks, config.workers) if config.workers > 1 else _here(config.job, tasks)


def _here(job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
    with _same_threads():
        work = start(job)
        yield from map(work, tasks)


@contextmanager
def _same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_work: Work
"""The worker of this process, where it is one of several."""


def _begin(job: Job, numbers: Any) -> None:
    global _work
    # An interrupt is for the process that waits for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quieten()
    _work = start(job, numbers.get())


def _go_on(task: Task) -> Outcome:
    return _work(task)


def _in_processes(job: Job, tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(workers):
        numbers.put(number)
    executor = ProcessPoolExecutor(workers, context, _begin, (job, numbers))
    try:
        yield from _as_they_end(lambda task: executor.submit(_go_on, task), tasks, QUEUED * workers)
    except BrokenProcessPool:
        raise RuntimeError(
            "a worker died, perhaps for lack of memory; the same command goes on where this one stopped"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _as_they_end(submit: Callable[[Task], Future[Outcome]], tasks: Sequence[Task], at_once: int) -> Iterator[Outcome]:
    waiting: set[Future[Outcome]] = set()
    rest = iter(tasks)
    while True:
        for task in rest:
            waiting.add(submit(task))
            if len(waiting) >= at_once:
                break
        if not waiting:
            return
        ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in ended)
