"""The same extraction on a Ray cluster: the plan as a data set, the workers as its actors."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pave.data.extract_worker import Job, Outcome, Task, start
from pave.errors import InputError

BLOCKS = 1000
"""Most parts into which a plan is cut; a part's outcomes are told together."""


def outcomes_of_ray(job: Job, tasks: Sequence[Task], workers: int, gpus: float) -> Iterator[Outcome]:
    """Yield what became of each task, on the cluster that ``RAY_ADDRESS`` names, or on one of this machine.

    Args:
        job: The job; its store must be seen by every machine under the same path, as must all files.
        tasks: The plan.
        workers: Actors that work at once.
        gpus: GPUs for each of them.

    Raises:
        InputError: If Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise InputError("engine 'ray' needs the package ray; install pave[ray], or use engine 'local'") from None
    began_here = not ray.is_initialized()
    if began_here:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [_row(number, task) for number, task in enumerate(tasks)]
        outcomes = ray.data.from_items(rows, override_num_blocks=max(1, min(len(rows), BLOCKS))).map(
            _Actor,
            fn_constructor_args=(job,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=job.threads,
            num_gpus=gpus or None,
        )
        for row in outcomes.iter_rows():
            yield Outcome(tasks[row["number"]], row["status"], row["absent"], row["why"], row["key"])
    finally:
        if began_here:
            ray.shutdown()


class _Actor:
    def __init__(self, job: Job) -> None:
        # Ray shows an actor only its own GPUs, so that each is the first of them.
        self._work = start(job)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        video = Path(row["video"]) if row["video"] else None
        outcome = self._work(Task(row["channel"], Path(row["path"]), video))
        return {
            "number": row["number"],
            "status": outcome.status,
            "absent": outcome.absent,
            "why": outcome.why,
            "key": outcome.key,
        }


def _row(number: int, task: Task) -> dict[str, Any]:
    return {
        "number": number,
        "channel": task.channel,
        "path": str(task.path),
        "video": "" if task.video is None else str(task.video),
    }
