"""The reference's annotations and mappings to samples of this library, with a list of what was left out and why."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pave.config import read_json
from pave.data.jsonl import holds_half_a_character
from pave.data.reference_chat import TAGS, is_tagged, without_tags
from pave.errors import InputError
from pave.files import whole_file

LISTED = "00013654"
"""The video that the reference leaves out by its id; the other two on its list can never match its own ids."""

KEPT_OUT = ("id", "video", "conversations")
TAKEN = ("messages", "side")
SPEAKERS = {"human": "user", "gpt": "assistant"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotationReport:
    """What a conversion did.

    Args:
        samples: The ``.jsonl`` file.
        report: File that names every entry that was dropped or changed, and why.
        read: Entries in the annotation file, as far as they were asked for.
        written: Samples written.
        dropped: Reason to number of entries.
        changed: Change to number of entries that were written with it.
    """

    samples: Path
    report: Path
    read: int
    written: int
    dropped: dict[str, int]
    changed: dict[str, int]


def convert_annotations(
    annotations: Path,
    media_mapping: Path,
    out: Path,
    media_root: Path | None = None,
    feature_mapping: Path | None = None,
    feature_root: Path | None = None,
    channel: str = "audio",
    second_channel: str | None = None,
    second_root: Path | None = None,
    second_folder: bool = False,
    ratio: float = 1.0,
) -> AnnotationReport:
    """Turn the reference's annotations and the mappings that go with them into a data set of this library.

    Args:
        annotations: JSON list, or JSON lines, of entries with ``video`` and ``conversations``.
        media_mapping: JSON object from video ids to paths of videos.
        out: The ``.jsonl`` file to write; what was left out is listed beside it.
        media_root: Folder of those paths; by default that of the mapping.
        feature_mapping: JSON object from video ids to paths of feature files, or folders of one a camera.
        feature_root: Folder of those paths; by default that of the mapping.
        channel: Side channel that the features become.
        second_channel: Another side channel, whose files have the first one's names in another folder.
        second_root: That folder.
        second_folder: The second channel's are the folders of those names, as the reference has it for cameras.
        ratio: Share of the entries to use, from the first on.

    Raises:
        InputError: If a file cannot be used, the options do not go together, or nothing is left to write.
    """
    _check(out, channel, feature_mapping, second_channel, second_root, ratio)
    entries = _read_entries(annotations)
    count = int(ratio * len(entries))
    if entries and not count:
        raise InputError(f"ratio is {ratio}, which is less than one of the {len(entries)} entries; raise it")
    entries = entries[:count]
    sources = [_Source("video", "video", read_mapping(media_mapping), media_root or media_mapping.parent)]
    if feature_mapping is not None:
        mapping = read_mapping(feature_mapping)
        sources.append(_Source(channel, "feature", mapping, feature_root or feature_mapping.parent))
        if second_channel is not None and second_root is not None:
            sources.append(_Source(second_channel, "second feature", mapping, second_root, second_folder))
    conversion = _Conversion(sources, out.parent)
    for number, entry in enumerate(entries, start=1):
        conversion.add(number, entry)
    return conversion.write(out, len(entries))


def read_mapping(path: Path) -> dict[str, str]:
    """Read a mapping from video ids to relative paths.

    Raises:
        InputError: If it is no JSON object of texts.
    """
    mapping = read_json(path)
    for key, value in mapping.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"{path}: {key!r} is mapped to {value!r}; it must be the path of a file")
    return mapping


def video_ids(video: str) -> list[str]:
    """Return the ids under which the mappings may have a video: the reference's own, and where that is cut the whole.

    The reference takes the last part of the path up to its first dot, and no more than 13 characters of one that holds
    ``Scene``: it cannot find a film whose id happens to.
    """
    name = video.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    cut = name[:13] if "Scene" in name else name
    return list(dict.fromkeys(part.split(".", 1)[0] for part in (cut, name)))


class _Dropped(Exception):
    """Why an entry cannot become a sample: a reason to count, and what is wrong with this one."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class _Source:
    """Where the files of the video or of a channel are found."""

    name: str
    kind: str
    mapping: dict[str, str]
    root: Path
    folder: bool = False

    def find(self, ids: list[str]) -> tuple[str, Path]:
        """Return the id that the mapping has, and the file."""
        known = next((name for name in ids if name in self.mapping), None)
        if known is None:
            raise _Dropped(f"no {self.kind} mapping", f"the mapping has no {' or '.join(map(repr, ids))}")
        path = self.root / self.mapping[known]
        path = path.parent if self.folder else path
        if not path.exists():
            raise _Dropped(f"{self.kind} file missing", f"{path} does not exist")
        return known, path


@dataclass
class _Conversion:
    """Samples, and what happened to the others."""

    sources: list[_Source]
    folder: Path
    lines: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, entry: Any) -> None:
        """Convert one entry, or note why it cannot be."""
        name = entry.get("id") if isinstance(entry, dict) else None
        name = None if name == "" else name
        try:
            if holds_half_a_character(entry):
                raise _Dropped("malformed text", "it holds half a character; mend or drop it")
            sample, changes = self._sample(entry)
        except _Dropped as error:
            self.dropped.append({"entry": number, "id": name, "reason": error.reason, "detail": str(error)})
            return
        sample["id"] = self._unique(str(number if name is None else name))
        if name is None or sample["id"] != str(name):
            changes.append("id given" if name is None else "id repeated")
        self.changed += [{"entry": number, "id": sample["id"], "change": change} for change in changes]
        self.lines.append(json.dumps({"id": sample.pop("id"), **sample}, ensure_ascii=False))

    def write(self, out: Path, read: int) -> AnnotationReport:
        """Write samples and report.

        Raises:
            InputError: If there is no sample.
        """
        dropped = dict(Counter(item["reason"] for item in self.dropped))
        changed = dict(Counter(item["change"] for item in self.changed))
        if not self.lines:
            listed = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "the file has none"
            first = f"; the first: {self.dropped[0]['detail']}" if self.dropped else ""
            raise InputError(f"none of {read} entries can be used ({listed}){first}")
        report = AnnotationReport(out, report_path(out), read, len(self.lines), dropped, changed)
        lists = {"dropped": self.dropped, "changed": self.changed}
        # Half of a character can stand in JSON only as its escape.
        listed = (json.dumps(lists, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        with whole_file(report.report) as fresh_report, whole_file(out) as fresh:
            fresh_report.write_bytes(listed)
            fresh.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")
        for reason, count in dropped.items():
            logger.warning("%d of %d entries dropped: %s; see %s", count, read, reason, report.report)
        return report

    def _sample(self, entry: Any) -> tuple[dict[str, Any], list[str]]:
        if not isinstance(entry, dict) or not isinstance(entry.get("video"), str) or not entry["video"]:
            raise _Dropped("malformed entry", "it is no object with a text under 'video'")
        taken = [name for name in TAKEN if name in entry]
        if taken:
            raise _Dropped("malformed entry", f"its field {taken[0]!r} has a meaning of its own in samples")
        messages, changes = _messages(entry.get("conversations"))
        ids = video_ids(entry["video"])
        if LISTED in ids:
            raise _Dropped("on the reference's list", f"the reference leaves the video {LISTED} out")
        found = {source.name: source.find(ids) for source in self.sources}
        if any(known != ids[0] for known, _ in found.values()):
            changes.append("found by the whole id, which the reference cuts")
        media = {name: self._written(path) for name, (_, path) in found.items()}
        sample = {"video": media.pop("video"), "side": media, "messages": messages}
        return {**sample, **{name: value for name, value in entry.items() if name not in KEPT_OUT}}, changes

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.ids:
            count += 1
            unique = f"{name}-{count}"
        self.ids.add(unique)
        return unique

    def _written(self, path: Path) -> str:
        """Return a path relative to the samples if it lies in their folder, else in full."""
        full, folder = path.absolute(), self.folder.absolute()
        return full.relative_to(folder).as_posix() if full.is_relative_to(folder) else str(full)


def report_path(out: Path) -> Path:
    """Return the file beside the samples that lists what was dropped or changed."""
    return out.with_name(f"{out.stem}.report.json")


def _messages(turns: Any) -> tuple[list[dict[str, str]], list[str]]:
    """Return a conversation, its tag taken out, and what was changed beside that."""
    if not isinstance(turns, list) or not turns or len(turns) % 2:
        raise _Dropped("malformed conversation", "it is no list of questions with an answer each")
    messages = []
    for place, turn in enumerate(turns):
        speaker = ("human", "gpt")[place % 2]
        if not isinstance(turn, dict) or turn.get("from") != speaker or not isinstance(turn.get("value"), str):
            raise _Dropped("malformed conversation", f"turn {place} is not of {speaker!r} with a text under 'value'")
        text = turn["value"]
        if place and is_tagged(text):
            raise _Dropped("malformed conversation", f"turn {place}, not the first, holds {' or '.join(TAGS)}")
        text = without_tags(text) if is_tagged(text) else text
        if not text.strip():
            raise _Dropped("malformed conversation", f"turn {place} has no text")
        messages.append({"role": SPEAKERS[speaker], "content": text})
    untagged = [] if is_tagged(turns[0]["value"]) else ["no tag: the video stands before the first question"]
    return messages, untagged


def _read_entries(path: Path) -> list[Any]:
    """Read a JSON list, or JSON lines from a file whose name ends so.

    Raises:
        InputError: If it is missing or neither.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save the file as UTF-8") from None
    if path.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), start=1)
        return [_parsed(line, f"{path}:{number}") for number, line in lines if line.strip()]
    entries = _parsed(text, str(path))
    if not isinstance(entries, list):
        raise InputError(f"{path}: holds a JSON {type(entries).__name__}; annotations are a list of entries")
    return entries


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg} at character {error.pos + 1})") from None


def _check(
    out: Path,
    channel: str,
    feature_mapping: Path | None,
    second_channel: str | None,
    second_root: Path | None,
    ratio: float,
) -> None:
    if out.suffix != ".jsonl":
        raise InputError(f"{out}: samples are written as .jsonl; end the name so")
    for path in (out, report_path(out)):
        if path.exists():
            raise InputError(f"{path}: exists; choose another name, or remove it")
    if (second_channel is None) != (second_root is None):
        raise InputError("second_channel and second_root go together; give both or none")
    if second_channel is not None and feature_mapping is None:
        raise InputError("second_channel takes its names from feature_mapping; give that, too")
    if second_channel == channel:
        raise InputError(f"channel and second_channel are both {channel!r}; name them apart")
    if "video" in (channel, second_channel):
        raise InputError("a channel cannot be named 'video'; choose another name")
    if not 0 < ratio <= 1:
        raise InputError(f"ratio is {ratio}; it must be above 0 and at most 1")
