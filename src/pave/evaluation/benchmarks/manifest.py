"""``manifest.json``: what a prepared data set was made of, and what of it is there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pave.config import from_dict, read_json, to_dict

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Count:
    """A number found beside the official one, where that is known."""

    found: int
    official: int | None = None


@dataclass(frozen=True)
class RawFile:
    """One raw file.

    Args:
        path: Relative to the raw folder.
        sha256: Of its bytes.
        entries: What it holds, where it is a list.
    """

    path: str
    sha256: str
    entries: Count | None = None


@dataclass(frozen=True)
class Lacking:
    """A sample that lacks media.

    Args:
        id: Of the sample.
        media: Where each was first looked for, relative to the media folder.
    """

    id: str
    media: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What was prepared.

    Args:
        benchmark: Its name.
        split: Of the benchmark.
        prompt: Form of the question.
        samples: Made of the raw files, before any is left out.
        categories: The same by category, the official categories first.
        raw: The raw files.
        channels: Samples that have each side channel.
        missing: Samples that lack media; they are in ``samples.jsonl`` unless ``left_out`` counts them.
        left_out: Samples left out because they lack media.
        notes: Other things worth knowing of, and how many samples have them.
        options: What else decided the samples.
    """

    benchmark: str
    split: str
    prompt: str
    samples: Count
    categories: dict[str, Count] = field(default_factory=dict)
    raw: tuple[RawFile, ...] = ()
    channels: dict[str, int] = field(default_factory=dict)
    missing: tuple[Lacking, ...] = ()
    left_out: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into a folder, with format and library version."""
        (folder / MANIFEST_FILE).write_text(json.dumps(to_dict(self), indent=1) + "\n", encoding="utf-8")

    def summary(self) -> dict[str, Any]:
        """Return it as JSON types, with a number in place of the lists of samples and files."""
        return {**asdict(self), "missing": len(self.missing), "raw": {file.path: file.sha256 for file in self.raw}}


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a prepared data set.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    return from_dict(Manifest, read_json(folder / MANIFEST_FILE), str(folder / MANIFEST_FILE))
