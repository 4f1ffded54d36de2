"""A result folder: what decides its answers, the responses as they come, and the scores once all are there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pave.config import read_json
from pave.errors import InputError
from pave.files import sole_writer, telling_write_errors, write_whole

RUN_FILE = "run.json"
RESULT_FILE = "result.json"
RESPONSES_FILE = "responses.jsonl"
COMPARISON_FILE = "comparison.json"
PROBE_FILE, PLOT_FILE = "probe.json", "probe.png"
SHOWN_DIFFERENCES = 3

Shard = tuple[int, int]
"""Number of a part, from 1, and of all parts."""


class ResultFolder:
    """One evaluation on disk.

    Args:
        path: A new or empty folder, or one that an earlier run of the same evaluation left.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def check_usable(self) -> None:
        """Check that nothing of somebody else's lies there.

        Raises:
            InputError: If something does.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir() or (any(self._content()) and not (self.path / RUN_FILE).is_file()):
            raise InputError(
                f"{self.path}: exists and is not empty, but holds no {RUN_FILE} of an earlier evaluation; "
                "choose a new or an empty folder"
            )

    def claim(self, facts: Mapping[str, Any]) -> bool:
        """Note what decides the answers, or check that it is what decided those that are there.

        Returns:
            Whether nobody had noted it before.

        Raises:
            InputError: If the folder is another evaluation's; the message says what differs. Or it cannot be written.
        """
        self.check_usable()
        plain = json.loads(json.dumps(facts, default=str))
        path = self.path / RUN_FILE
        with telling_write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        # Of two evaluations that start at once, the second must see what the first has noted.
        with sole_writer(path, f"{self.path}: another process is starting there; choose another --out"):
            if not path.is_file():
                write_whole(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
                return True
        found = list(differences(read_json(path), plain))
        if found:
            told = "; ".join(found[:SHOWN_DIFFERENCES])
            more = f"; and {len(found) - SHOWN_DIFFERENCES} more" if len(found) > SHOWN_DIFFERENCES else ""
            raise InputError(
                f"{self.path}: holds another evaluation: {told}{more}; choose another --out, or evaluate as before"
            )
        return False

    def unclaim(self) -> None:
        """Take back what :meth:`claim` noted, unless something was done there since."""
        if [path.name for path in self._content()] == [RUN_FILE]:
            (self.path / RUN_FILE).unlink()

    def _content(self) -> Iterator[Path]:
        """Yield what is there; names with a dot are of files that are being written, and of locks."""
        return (path for path in self.path.iterdir() if not path.name.startswith("."))

    def responses_file(self, shard: Shard = (1, 1)) -> Path:
        """Return the file of a part's responses."""
        number, count = shard
        name = RESPONSES_FILE if count == 1 else f"responses-{number}-of-{count}.jsonl"
        return self.path / name

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the scores."""
        write_whole(self.path / RESULT_FILE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Yield where two JSON values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from differences(before.get(name), now.get(name), f"{place}.{name}" if place else name)
    elif before != now:
        yield f"{place} was {_short(before)}, is {_short(now)}"


def _short(value: Any, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else text[:most] + "..."


def folder_name(number: int, name: str) -> str:
    """Return a name for a folder: the number keeps apart what letters cannot."""
    return f"{number}-{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')}"
