"""One worker of an extraction: encoders, base and store, and one method from a file to what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pave import encoders
from pave.data.frozen import encode_files
from pave.data.processor import PaveProcessor, load_base_processor
from pave.data.side import SideReader, attach_tower
from pave.data.store import FeatureStore, StoreError
from pave.data.store_item import DTYPES, Item, key_of
from pave.data.store_keys import about_side
from pave.data.stored import StoredVideos, is_absent, kept, side_item, video_item
from pave.errors import InputError
from pave.model import PaveModel

VIDEO = "video tokens"
"""What stands in place of a channel for the base's own tokens of a video."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know beside the files.

    Args:
        store: Folder of the store.
        encoders: Channel to the settings of its encoder.
        base: Shipped name, folder or hub id; ``None`` where neither video tokens nor an encoder asks for one.
        revision: Commit, tag or branch of the base on the hub.
        precision: Float type of the base.
        frames: Frames of a video; ``None`` to leave video tokens out.
        preset: How frames become inputs.
        layout: Layout of video tokens.
        max_gb: Size above which nothing is added to the store.
        threads: Threads of torch, on which the last digits of features depend; 0 for an equal share of the machine's.
    """

    store: Path
    encoders: dict[str, dict[str, Any]]
    base: str | None = None
    revision: str | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    frames: int | None = None
    preset: Literal["pave", "reference"] = "pave"
    layout: str | None = None
    max_gb: float | None = None
    threads: int = 0


@dataclass(frozen=True)
class Task:
    """One file to extract.

    Args:
        channel: Its channel, or :data:`VIDEO`.
        path: The file.
        video: The video that times it, if its encoder asks for one.
    """

    channel: str
    path: Path
    video: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Args:
        task: The task.
        status: ``done``, ``cached`` (it was in the store), ``skipped``, or ``failed``: no task can be done.
        absent: Whether the file has no such signal, which is kept in the store, too.
        why: Reason of a skip or failure.
        key: Key of the item in the store.
    """

    task: Task
    status: Literal["done", "cached", "skipped", "failed"]
    absent: bool = False
    why: str = ""
    key: str = ""


Work = Callable[[Task], Outcome]


def start(job: Job, index: int = 0) -> Work:
    """Return a worker that never raises: what hinders it is told by its outcomes.

    Args:
        job: The job.
        index: Number of the worker; those of one machine take its GPUs in turn.
    """
    try:
        return Worker(job, index)
    except InputError as error:
        # Not the exception itself: its variable ends with this clause.
        why = str(error)
        return lambda task: Outcome(task, "failed", why=why)


class Worker:
    """Makes items of files and keeps them in the store.

    Args:
        job: The job.
        index: Number of the worker; those of one machine take its GPUs in turn.

    Raises:
        InputError: If an encoder, the base or the store cannot be used.
    """

    def __init__(self, job: Job, index: int) -> None:
        torch.set_num_threads(job.threads)
        if torch.cuda.is_available():
            torch.cuda.set_device(index % torch.cuda.device_count())
        self.store = FeatureStore(job.store, max_gb=job.max_gb)
        self.store.check_writable()
        made = {channel: encoders.build(settings) for channel, settings in job.encoders.items()}
        self.reader = SideReader(made)
        if job.frames is None and not any(encoder.needs_tower for encoder in made.values()):
            return
        if job.base is None:
            raise InputError("extract: base is missing; video tokens and encoders that use its tower need one")
        self.model = PaveModel.from_base(job.base, job.revision, dtype=DTYPES[job.precision])
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        attach_tower(self.model, made.values())
        if job.frames is not None:
            layout = job.layout or self.model.family.layouts[0]
            base_processor = load_base_processor(self.model)
            self.processor = PaveProcessor(base_processor, self.model.family, layout, job.frames, job.preset)
            self.videos = StoredVideos(self.store, self.model, self.processor)

    def __call__(self, task: Task) -> Outcome:
        """Make the item of a file, unless the store has it."""
        try:
            return self._extract(task)
        except StoreError as error:
            return Outcome(task, "failed", why=str(error))
        except InputError as error:
            return Outcome(task, "skipped", why=str(error).removeprefix(f"{task.path}: "))
        except Exception as error:
            # Libraries and encoders of others fail in their own ways; one file must not stop the others.
            first_line = (str(error).splitlines() or [""])[0]
            return Outcome(task, "skipped", why=f"{type(error).__name__}: {first_line}")

    def _extract(self, task: Task) -> Outcome:
        if task.channel == VIDEO:
            about = self.videos.about(task.path)
        else:
            about = about_side(self.reader.encoders[task.channel], task.path, task.video)
        key = key_of(about)
        item = self.store.get(key)
        if item is not None:
            return Outcome(task, "cached", is_absent(item), key=key)
        item = kept(self.store, self._make(task, about), task.path)
        return Outcome(task, "done", is_absent(item), key=key)

    def _make(self, task: Task, about: dict[str, Any]) -> Item:
        if task.channel == VIDEO:
            (encoded,) = encode_files(self.model, self.processor, [task.path], vision=True)
            return video_item(encoded, about)
        return side_item(self.reader.make(task.channel, task.path, task.video), about)
