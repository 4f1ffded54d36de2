"""The state of an unfinished run on disk: its configuration, its data's hashes, its checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pave.config import STAMPS, read_json, to_dict
from pave.errors import InputError
from pave.files import check_vacant, sole_writer, telling_write_errors, write_whole
from pave.processes import processes
from pave.training.config import TrainConfig
from pave.training.facts import data_hash
from pave.training.trainer import checkpoints

RUN_FILE = "run.json"
RESULT_FOLDER = "result"
PROCESSES = "processes"
"""Where a run notes how many train together: steps depend on it, the identity of the run does not."""

FREE = ("out", "workers", "save_every", "log_every", "cache_limit_gb")
"""Fields that may change between a run and its continuation: they do not change what is computed."""


@dataclass(frozen=True)
class Run:
    """An unfinished run, in ``<out>.unfinished`` beside the folder that its patches will get.

    Args:
        config: Its configuration.
    """

    config: TrainConfig

    @property
    def folder(self) -> Path:
        """Where it keeps its state until it is done."""
        # Beside the folder that a link names, which may be on another file system than the link.
        out = self.config.out.resolve()
        return out.with_name(out.name + ".unfinished")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside this, no other training writes to the same ``out``; of several processes, one enters it for all.

        Raises:
            InputError: If the output folder cannot be written, or another training is writing there.
        """
        check_vacant(self.config.out)
        with telling_write_errors(self.config.out):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
        busy = f"{self.config.out}: another training is writing there; wait for it, or choose another 'out'"
        with sole_writer(self.folder, busy):
            yield

    def check(self, resume: bool) -> Path | None:
        """Check that it may start, and return the checkpoint from which it goes on.

        Args:
            resume: Whether it may go on from an interrupted run of the same configuration.

        Raises:
            InputError: If its output folder holds something or cannot be replaced, or what was interrupted there after
                a checkpoint is another run.
        """
        check_vacant(self.config.out)
        whole = checkpoints(self.folder)
        if not whole or not (self.folder / RUN_FILE).exists():
            # Memory that did not suffice, say, ended it so early that there is nothing to lose.
            return None
        if not resume:
            raise InputError(f"{self.folder}: holds an interrupted run; resume it, or delete that folder")
        before = read_json(self.folder / RUN_FILE)
        for name, value in self._state().items():
            if before.get(name) != value:
                raise InputError(
                    f"{self.folder}: the interrupted run there has {name} {before.get(name)!r}, this one {value!r}; "
                    "resume with the same configuration and data, or delete that folder"
                )
        now = processes().num_processes
        if (count := before.get(PROCESSES, now)) != now:
            raise InputError(
                f"{self.folder}: the interrupted run there has {count} processes, this one {now}, whose steps would "
                f"learn from another number of samples; start {count}, or delete that folder"
            )
        return whole[-1]

    def begin(self) -> None:
        """Write down what the run is, so that a continuation can be compared with it."""
        # What lies there may be of another configuration, its unfinished patches, too.
        self.abandon()
        state = {**self._state(), PROCESSES: processes().num_processes}
        write_whole(self.folder / RUN_FILE, json.dumps(state, indent=2) + "\n")

    @property
    def result(self) -> Path:
        """Where its patches are written, before they appear at ``out``."""
        return self.folder / RESULT_FOLDER

    @property
    def identity(self) -> str:
        """Letters and digits that stand for what is computed: those of a LoRA that its patches share."""
        return hashlib.sha256(json.dumps(self._state(), sort_keys=True).encode()).hexdigest()[:16]

    def end(self) -> None:
        """Let the patches appear at ``out``, all at once, and remove the state."""
        os.replace(self.result, self.config.out.resolve())
        shutil.rmtree(self.folder)

    def abandon(self) -> None:
        """Remove the state of a run that did not even reach its first checkpoint."""
        if self.folder.exists() and not checkpoints(self.folder):
            shutil.rmtree(self.folder)

    def _state(self) -> dict[str, Any]:
        config = {name: value for name, value in to_dict(self.config).items() if name not in (*FREE, *STAMPS)}
        return {**config, "data_sha256": [data_hash(source.path) for source in self.config.data]}
