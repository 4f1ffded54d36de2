"""Annotations: one question a line of JSON, checked line by line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pave.errors import InputError, nearest
from pave.types import Sample

SAMPLES_FILE = "samples.jsonl"
CHANNELS = ("audio", "depth", "views", "frames")
"""Channels of this project's encoders; a patch may read others, and a name close to a known one is a mistake."""

FIELDS = ("id", "video", "messages", "side")
ESCAPED_HALF = "\\ud"
"""How JSON escapes either half of a surrogate pair."""


def read_samples(path: Path, channels: Collection[str] = ()) -> list[Sample]:
    """Read a data set.

    Args:
        path: The ``.jsonl`` file, or a folder that holds ``samples.jsonl``; media paths are relative to its folder.
        channels: Names that are known beside :data:`CHANNELS`, such as those that a patch reads.

    Raises:
        InputError: On the first line that cannot be used; the message starts with file and line number.
    """
    path = samples_file(Path(path))
    reader = _Reader(path.parent, {*CHANNELS, *channels}, {}, {})
    samples = [reader.sample(line, f"{path}:{number}") for number, line in _lines(path)]
    if not samples:
        raise InputError(f"{path}: holds no samples; write one JSON object a line")
    return samples


def samples_file(path: Path) -> Path:
    """Return the file of a data set, which is named itself or by the folder that holds ``samples.jsonl``.

    Raises:
        InputError: If it is not there.
    """
    path = path / SAMPLES_FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .jsonl file, or a folder that holds {SAMPLES_FILE}")
    return path


def holds_half_a_character(value: Any) -> bool:
    """Whether plain JSON types hold half of a surrogate pair, which JSON can escape and no text file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError:
                raise InputError(f"{path}:{number}: not UTF-8 text; save the file as UTF-8") from None
            if text:
                yield number, text


@dataclass
class _Reader:
    """What must be known of the whole file to read one of its lines."""

    folder: Path
    channels: Collection[str]
    seen: dict[str, str]
    exists: dict[Path, bool]

    def sample(self, line: str, source: str) -> Sample:
        record = _parse(line, source)
        for name in ("id", "video", "messages"):
            if name not in record:
                raise InputError(f"{source}: field {name!r} is missing{nearest(name, record)}")
        return Sample(
            id=self._id(record["id"], source),
            video=self._media(record["video"], "video", source),
            side=self._side(record.get("side", {}), source),
            messages=_messages(record["messages"], source),
            extra={name: value for name, value in record.items() if name not in FIELDS},
            source=source,
        )

    def _id(self, name: Any, source: str) -> str:
        if not isinstance(name, str) or not name:
            raise InputError(f"{source}: field 'id' is {name!r}; it must be a text that is not empty")
        if name in self.seen:
            raise InputError(f"{source}: id {name!r} stands already at {self.seen[name]}; every sample needs its own")
        self.seen[name] = source
        return name

    def _media(self, value: Any, place: str, source: str) -> Path | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise InputError(f"{source}: {place} is {value!r}; it must be the path of a file, or null")
        path = self.folder / value
        if path not in self.exists:
            try:
                self.exists[path] = path.exists()
            except OSError as error:
                raise InputError(f"{source}: {place} file {path} cannot be looked at ({error.strerror})") from None
        if not self.exists[path]:
            raise InputError(f"{source}: {place} file {path} does not exist; mend the path, or write null")
        return path

    def _side(self, side: Any, source: str) -> dict[str, Path | None]:
        if not isinstance(side, dict):
            raise InputError(f"{source}: field 'side' is {side!r}; it must map channel names to files")
        for channel in side:
            # A channel of the user's own that nothing reads here is no mistake; a misspelt one is.
            if channel not in self.channels and (guess := nearest(channel, self.channels)):
                known = ", ".join(sorted(self.channels))
                raise InputError(f"{source}: unknown channel {channel!r} in 'side'; known: {known}{guess}")
        return {channel: self._media(value, f"side[{channel!r}]", source) for channel, value in side.items()}


def _parse(line: str, source: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}: not valid JSON ({error.msg} at character {error.pos + 1})") from None
    if not isinstance(record, dict):
        raise InputError(f"{source}: holds a JSON {type(record).__name__}; each line must be an object")
    if ESCAPED_HALF in line.lower():
        for name, value in record.items():
            if holds_half_a_character([name, value]):
                raise InputError(f"{source}: field {name!r} holds half a character; mend or drop it")
    return record


def _messages(messages: Any, source: str) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{source}: field 'messages' must be a list of at least one turn")
    for index, turn in enumerate(messages):
        place = f"{source}: messages[{index}]"
        if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
            raise InputError(f"{place} must be an object with exactly 'role' and 'content'")
        if not isinstance(turn["content"], str) or not turn["content"].strip():
            raise InputError(f"{place}: content is {turn['content']!r}; it must be a text that is not empty")
    roles = [turn["role"] for turn in messages]
    first = 1 if roles[0] == "system" else 0
    if len(roles) == first:
        raise InputError(f"{source}: messages hold no user turn; add the question")
    for index, role in enumerate(roles[first:], start=first):
        expected = "user" if (index - first) % 2 == 0 else "assistant"
        if role != expected:
            raise InputError(
                f"{source}: messages[{index}] has role {role!r} where {expected!r} must stand; "
                "user and assistant take turns, after at most one system turn"
            )
    return messages
