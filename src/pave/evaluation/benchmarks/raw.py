"""Raw files as published: found, hashed, counted against the official number, and their fields checked as read."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pave.errors import InputError, nearest
from pave.evaluation.benchmarks.manifest import Count, RawFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expected:
    """How many entries the official file has.

    Args:
        entries: The number; ``None`` where it is not known.
        firm: It was counted in the file itself, so that another number means another file. Otherwise it is only
            stated somewhere, and another number is said and taken.
        others: Numbers of other versions that go by the same name, and what they are.
        noun: What is counted.
    """

    entries: int | None = None
    firm: bool = True
    others: Mapping[int, str] = field(default_factory=dict)
    noun: str = "questions"


UNKNOWN = Expected()


class Entry:
    """One object of a raw file, whose fields are checked where they are read.

    Args:
        values: The object.
        where: File and place, which open every message.

    Raises:
        InputError: If it is no object.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise InputError(f"{where}: holds a JSON {type(values).__name__}; each entry must be an object")
        self.values: dict[str, Any] = values
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field that may be absent, as it stands."""
        return self.values.get(key, default)

    def value(self, key: str) -> Any:
        """Return a field that must be there."""
        if key not in self.values:
            raise InputError(f"{self.where}: field {key!r} is missing{nearest(key, self.values)}")
        return self.values[key]

    def text(self, key: str) -> str:
        """Return a text that is not blank."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{self.where}: {key} is {value!r}; it must be a text that is not empty")
        return value

    def whole(self, key: str) -> int:
        """Return a whole number."""
        value = self.value(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{self.where}: {key} is {value!r}; it must be a whole number")
        return value

    def seconds(self, key: str) -> float:
        """Return a number of seconds."""
        value = self.value(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise InputError(f"{self.where}: {key} is {value!r}; it must be a number of seconds")
        return float(value)

    def texts(self, key: str) -> list[str]:
        """Return a list of at least one text; numbers among them are written out."""
        value = self.value(key)
        fits = isinstance(value, Sequence) and not isinstance(value, str)
        if not fits or not value or not all(isinstance(item, str | int | float) for item in value):
            raise InputError(f"{self.where}: {key} is {value!r}; it must be a list of at least one text")
        return [str(item) for item in value]

    def literal(self, key: str) -> list[Any]:
        """Return a list that is written as JSON inside a text, or as a list."""
        value = self.value(key)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                raise InputError(f"{self.where}: {key} is {value!r}; it must hold a JSON list") from None
        if not isinstance(value, list):
            raise InputError(f"{self.where}: {key} is {value!r}; it must be a list, or a text that holds one")
        return value

    def entries(self, key: str) -> list[Entry]:
        """Return a list of objects."""
        value = self.value(key)
        if not isinstance(value, list):
            raise InputError(f"{self.where}: {key} is a JSON {type(value).__name__}; it must be a list")
        return [Entry(item, f"{self.where}: {key}[{index}]") for index, item in enumerate(value)]

    def among(self, key: str, known: Sequence[str]) -> str:
        """Return a text that is one of those known."""
        value = self.text(key)
        if value not in known:
            raise InputError(f"{self.where}: {key} is {value!r}; known: {', '.join(known)}{nearest(value, known)}")
        return value


class RawFiles:
    """The folder of raw files, and a record of those that were read.

    Args:
        folder: The folder.
        any_count: Whether files of another length are taken, too.

    Raises:
        InputError: If there is no such folder.
    """

    def __init__(self, folder: Path, any_count: bool = False) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name the one that holds the raw files")
        self.folder = folder
        self.any_count = any_count
        self.files: list[RawFile] = []

    def find(self, *names: str) -> Path:
        """Return the first of these files that exists.

        Raises:
            InputError: If there is none.
        """
        found = self.first(*names)
        if found is None:
            raise InputError(f"{self.folder}: holds none of {', '.join(names)}; put the published file there")
        return found

    def first(self, *names: str) -> Path | None:
        """Return the first of these files that exists, or ``None``."""
        return next((self.folder / name for name in names if (self.folder / name).is_file()), None)

    def json(self, path: Path) -> Any:
        """Read a file of JSON and record it.

        Raises:
            InputError: If it is none.
        """
        content = path.read_bytes()
        try:
            data = json.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text; download the file again") from None
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}: not valid JSON ({error.msg} at line {error.lineno}); download the file again"
            ) from None
        self.record(path, hashlib.sha256(content).hexdigest())
        return data

    def entries(self, path: Path, expected: Expected = UNKNOWN, under: str | None = None) -> list[Entry]:
        """Read a list of objects, and check how many there are.

        Args:
            path: A JSON list, or an object with the list in a field.
            expected: The official number.
            under: That field.

        Raises:
            InputError: If the file is of another form or version.
        """
        data = self.json(path)
        if under is not None and isinstance(data, dict):
            data = Entry(data, str(path)).value(under)
        if not isinstance(data, list):
            wanted = "a list" if under is None else f"an object with a list under {under!r}"
            raise InputError(f"{path}: holds a JSON {type(data).__name__}; the published file is {wanted}")
        self.check(path, len(data), expected)
        return [Entry(item, f"{path}: entry {number}") for number, item in enumerate(data, start=1)]

    def check(self, path: Path, found: int, expected: Expected) -> None:
        """Compare the number of entries of the file read last with the official one, and record both.

        Raises:
            InputError: If it is another, that was counted, and any number will not do.
        """
        self.files[-1] = RawFile(self.files[-1].path, self.files[-1].sha256, Count(found, expected.entries))
        if found == 0:
            raise InputError(f"{path}: holds no {expected.noun}; download the file again")
        if expected.entries is None or found == expected.entries:
            return
        other = f" ({found:,} is the number of {expected.others[found]})" if found in expected.others else ""
        differs = f"{path}: holds {found:,} {expected.noun}{other}; the official file has {expected.entries:,}"
        if expected.firm and not self.any_count:
            raise InputError(f"{differs}: get that one, or take this one as it is with --any-count")
        logger.warning("%s", differs if expected.firm else f"{differs}, as far as is known")

    def record(self, path: Path, sha256: str) -> None:
        """Note that a file was read."""
        name = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)
        self.files.append(RawFile(name, sha256))
