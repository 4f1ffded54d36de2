"""Result files of a study: one JSON a run, which says all that decided it, and is refused where that has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pave.blindspot.study.run import Run, known_fields
from pave.config import read_json
from pave.errors import InputError
from pave.evaluation.folder import differences
from pave.files import write_whole

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Results:
    """The result files of a plan.

    Args:
        folder: Where they are, named like their runs.
    """

    folder: Path

    def path(self, run: Run) -> Path:
        """Return the file of a run."""
        return self.folder / f"{run.name}.json"

    def find(self, run: Run) -> dict[str, Any] | None:
        """Return the result of a run; ``None`` if it has none yet.

        Raises:
            InputError: If the one that is there was made otherwise; the message says what differs first.
        """
        path = self.path(run)
        if not path.is_file():
            return None
        found = read_json(path)
        told = next(differences(_as_known(found, path), run.identity()), None)
        if told is not None:
            raise InputError(f"{path}: is of another configuration: {told}; remove it, or mend the plan")
        return found

    def write(self, run: Run, content: Mapping[str, Any]) -> None:
        """Write the result of a run."""
        whole = {"format_version": FORMAT_VERSION, "name": run.name, "labels": dict(run.labels)}
        text = json.dumps({**whole, **run.identity(), **content}, ensure_ascii=False)
        write_whole(self.path(run), text + "\n")


def _as_known(found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return what decided a result, as this version would state it."""
    if found.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path}: is no result of this version; remove it")
    decided = {name: found.get(name) for name in ("base", "frames", "train", "evaluate")}
    if decided["train"] is not None:
        try:
            decided["train"] = known_fields(decided["train"])
        except InputError as error:
            raise InputError(f"{path}: is of another version ({error}); remove it") from None
    return decided
