"""Where a study keeps its work: film sets, features, patches and answers, each under a name of what decided it.

What two plans have in common is made once: the same training in both is one training.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from pave.blindspot.generate import SET_FILE, MakeConfig, make, recipe
from pave.blindspot.study.run import Evaluation, Run, known_fields, placed, short_hash, trained_hash, trained_identity
from pave.checkpoint import CONFIG_FILE
from pave.config import read_json
from pave.errors import InputError
from pave.evaluation.folder import differences
from pave.files import write_whole
from pave.training.config import TrainConfig

logger = logging.getLogger(__name__)

TRAINED_FILE = "trained.json"
PATCH_FOLDER = "patch"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Places:
    """Folders of a study's work.

    Args:
        work: The folder that holds them all; several studies may share it.
    """

    work: Path

    @property
    def features(self) -> Path:
        """The feature store of all runs."""
        return self.work / "features"

    def film_set(self, config: MakeConfig) -> Path:
        """Return the folder of a set."""
        settings = json.loads(json.dumps(recipe(config)))
        return self.work / "films" / f"{config.track}-{config.count}-{short_hash(settings)}"

    def has_set(self, config: MakeConfig) -> bool:
        """Whether a set is there."""
        return (self.film_set(config) / SET_FILE).is_file()

    def make_set(self, config: MakeConfig, progress: Progress | None = None) -> None:
        """Make a set, unless it is there; another study that makes it is waited for."""
        folder = self.film_set(config)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not self.has_set(config):
                make(replace(config, out=folder), progress)

    def training(self, config: TrainConfig) -> Training:
        """Return a training in its place."""
        folder = self.work / "trained" / f"{config.out.name}-{trained_hash(config)}"
        return Training(folder, config, placed(config, folder / PATCH_FOLDER, self.features, self.film_set))

    def answers(self, run: Run, evaluation: Evaluation, patches: list[Path]) -> Path:
        """Return the folder of a model's answers to an evaluation."""
        decided = {
            **evaluation.identity(),
            "base": run.base,
            "frames": run.frames,
            "patches": [str(patch.relative_to(self.work)) for patch in patches],
        }
        return self.work / "answers" / f"{run.name}-{evaluation.name}-{short_hash(decided)}"

    def log(self, run: Run) -> Path:
        """Return the file of what a run says."""
        return self.work / "logs" / f"{run.name}.log"


@dataclass(frozen=True)
class Training:
    """A training in its place.

    Args:
        folder: Where it keeps everything.
        asked: As the plan has it.
        config: With places.
    """

    folder: Path
    asked: TrainConfig
    config: TrainConfig

    @property
    def is_done(self) -> bool:
        """Whether its patch is there, with the facts about its making."""
        return (self.folder / TRAINED_FILE).is_file() and bool(self.patches)

    @property
    def patches(self) -> list[Path]:
        """The patch folders that it wrote: its output, or those in it where several were trained together."""
        out = self.folder / PATCH_FOLDER
        if (out / CONFIG_FILE).is_file():
            return [out]
        return sorted(path.parent for path in out.glob(f"*/{CONFIG_FILE}"))

    def patch(self, name: str) -> Path:
        """Return one of several patches.

        Raises:
            InputError: If there is none of that name.
        """
        found = {path.name: path for path in self.patches}
        if name not in found:
            raise InputError(f"{self.folder}: holds no patch {name!r}; it holds {', '.join(found)}")
        return found[name]

    def check(self) -> None:
        """Check that what lies in its folder is of this training.

        Raises:
            InputError: If it is of another; the message says what differs.
        """
        if not (self.folder / TRAINED_FILE).is_file():
            return
        found = known_fields(read_json(self.folder / TRAINED_FILE)["config"])
        told = next(differences(found, trained_identity(self.asked)), None)
        if told is not None:
            raise InputError(f"{self.folder}: was trained with another configuration: {told}; remove that folder")

    def begin(self) -> None:
        """Take away a patch about whose making nothing is known, since its process was killed at the very end."""
        if self.patches:
            logger.warning("%s: its facts were not written; it is trained again", self.folder)
            shutil.rmtree(self.folder / PATCH_FOLDER)

    def end(self, facts: dict[str, Any]) -> None:
        """Write down how the patch was made."""
        content = {"config": trained_identity(self.asked), **facts}
        write_whole(self.folder / TRAINED_FILE, json.dumps(content, indent=2) + "\n")

    @property
    def facts(self) -> dict[str, Any]:
        """How the patch was made."""
        return read_json(self.folder / TRAINED_FILE)
