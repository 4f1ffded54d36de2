"""What a benchmark is: its splits, how its answers are scored and made, and how its raw files become a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pave.errors import InputError
from pave.evaluation.benchmarks.manifest import Manifest


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are made; all protocols here decode greedily.

    Args:
        max_new_tokens: Longest answer.
    """

    max_new_tokens: int


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare from where.

    Args:
        raw: Folder of the raw files, as published.
        out: New or empty folder for ``samples.jsonl`` and ``manifest.json``.
        split: By default the one that is usually reported.
        media: Folder of the media; by default ``raw``.
        channels: Side channels that the samples are to name; by default all that the benchmark's media hold.
        features: Channel to a folder of feature files named as the videos, read instead of the media.
        prompt: Form of the question; by default the benchmark's first.
        any_count: Take raw files whose number of entries is not the official one: a part, or another version.
        leave_out_missing: Leave samples that lack media out of ``samples.jsonl``, as training wants it; they stay in
            the manifest.
        films: Write films of what is published as pictures, or must be cut from a longer one.
        frames: Frames at whose times subtitles are shown.
        duplicate_audio: Write every training question that is about sound twice, as the paper's data has it.

    Raises:
        InputError: On a value out of range.
    """

    raw: Path
    out: Path
    split: str | None = None
    media: Path | None = None
    channels: tuple[str, ...] | None = None
    features: Mapping[str, Path] = field(default_factory=dict)
    prompt: str | None = None
    any_count: bool = False
    leave_out_missing: bool = False
    films: bool = False
    frames: int | None = None
    duplicate_audio: bool = False

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise InputError(f"frames is {self.frames}; it must be at least 1")
        for channel in self.features:
            if self.channels is not None and channel not in self.channels:
                raise InputError(f"features of {channel!r} are given, but channels do not name it; add it there")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Args:
        name: In the registry, and on the command line.
        splits: The first is the one that is usually reported.
        conventions: Names under which its answers are scored; the first is the default.
        generation: How its protocol makes answers.
        prepare: Turns its raw files into a data set.
        title: As its authors write it.
        counts: Samples of each split, as far as its official number is known.
        prompts: Forms in which its questions can be asked, the default first.
    """

    name: str
    splits: tuple[str, ...]
    conventions: tuple[str, ...]
    generation: GenerationSettings
    prepare: Callable[[PrepareConfig], Manifest]
    title: str = ""
    counts: Mapping[str, int | None] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()
