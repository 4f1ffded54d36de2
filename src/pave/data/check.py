"""What a training set has in common with a test set: the same media, by path or by content, and the same questions."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pave.data.progress import progress_bar
from pave.data.store_keys import media_hash
from pave.files import files_below
from pave.types import Sample

KINDS = ("media", "questions")
NOT_WORDS = re.compile(r"[\W_]+")

SAME_PATH, SAME_CONTENT = "same path", "same content under another path"
SAME_QUESTION, SAME_BOTH = "same question", "same question about the same video"

Uses = dict[Hashable, list[str]]
"""A medium or question, and the ids of the samples that have it."""


@dataclass(frozen=True)
class Match:
    """A medium or question of the test set that the training set has, too.

    Args:
        what: The path in the test set, or the question.
        train: A training sample that has it.
        test: A test sample that has it.
    """

    what: str
    train: str
    test: str


@dataclass(frozen=True)
class Overlap:
    """What two sets share in one way.

    Args:
        kind: The way.
        train_samples: Training samples that share something.
        test_samples: Test samples that share something.
        matches: Each shared medium or question once.
    """

    kind: str
    train_samples: int
    test_samples: int
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class CheckReport:
    """What was compared, and what was found.

    Args:
        train_samples: In all training sets.
        test_samples: In all test sets.
        overlaps: One for each way of being the same.
    """

    train_samples: int
    test_samples: int
    overlaps: tuple[Overlap, ...]

    @property
    def found(self) -> bool:
        """Whether anything is shared."""
        return any(overlap.matches for overlap in self.overlaps)


def check(train: Sequence[Sample], test: Sequence[Sample], kinds: Sequence[str] = KINDS) -> CheckReport:
    """Compare a training set with a test set.

    Media are compared by path and by content; only files of a size that both sets have are read. A medium that is
    missing counts by the place where it was looked for. Questions are the same if letters and digits are, whatever
    their case; of a test sample the last one counts, of a training sample all.

    Args:
        train: The training samples.
        test: The test samples.
        kinds: Any of :data:`KINDS`.

    Raises:
        InputError: If a medium cannot be read.
    """
    overlaps = []
    train_media, test_media = _media(train), _media(test)
    contents = _contents(train_media, test_media) if "media" in kinds else {}
    if "media" in kinds:
        overlaps.append(_overlap(SAME_PATH, train_media, test_media))
        elsewhere = {path: ids for path, ids in test_media.items() if path not in train_media}
        names = {contents[path]: str(path) for path in elsewhere if path in contents}
        overlaps.append(
            _overlap(SAME_CONTENT, _by_content(train_media, contents), _by_content(elsewhere, contents), names)
        )
    if "questions" in kinds:
        asked, told = _questions(train, False), _questions(test, True)
        overlaps.append(_overlap(SAME_QUESTION, asked, told, _wordings(test)))
    if "media" in kinds and "questions" in kinds:
        both = [_questions(part, last, contents) for part, last in ((train, False), (test, True))]
        names = {key: f"{key[0]} ({key[1]})" for key in both[1] if isinstance(key, tuple)}
        overlaps.append(_overlap(SAME_BOTH, both[0], both[1], names))
    return CheckReport(len(train), len(test), tuple(overlaps))


def _overlap(kind: str, train: Uses, test: Uses, names: Mapping[Hashable, str] | None = None) -> Overlap:
    shared = [key for key in test if key in train]
    names = names or {}
    return Overlap(
        kind,
        len({name for key in shared for name in train[key]}),
        len({name for key in shared for name in test[key]}),
        tuple(Match(names.get(key, str(key)), train[key][0], test[key][0]) for key in shared),
    )


def _media(samples: Sequence[Sample]) -> Uses:
    """Return the media of samples by their paths, with all links followed."""
    uses: Uses = {}
    for sample in samples:
        paths = [path for path in (sample.video, *sample.side.values()) if path is not None]
        # The place of a missing medium is relative to a folder that nobody knows any more.
        missing = [Path("missing", str(path)) for path in sample.extra.get("missing") or ()]
        for path in dict.fromkeys([path.resolve() for path in paths] + missing):
            uses.setdefault(path, []).append(sample.id)
    return uses


def _contents(train: Uses, test: Uses) -> dict[Hashable, str]:
    """Return the hashes of media that could be the same, by path."""
    sizes = [
        {path: _size(path) for path in uses if isinstance(path, Path) and path.exists()} for uses in (train, test)
    ]
    shared = set(sizes[0].values()) & set(sizes[1].values())
    paths = dict.fromkeys(path for part in sizes for path, size in part.items() if size in shared)
    hashes: dict[Hashable, str] = {}
    with progress_bar("media") as bar:
        task = bar.add_task("reading", total=len(paths), note="")
        for path in paths:
            hashes[path] = media_hash(path)
            bar.advance(task)
    return hashes


def _size(path: Path) -> tuple[bool, int]:
    if path.is_file():
        return False, path.stat().st_size
    return True, sum(file.stat().st_size for file in files_below(path))


def _by_content(uses: Uses, contents: Mapping[Hashable, str]) -> Uses:
    found: Uses = {}
    for path, ids in uses.items():
        if path in contents:
            found.setdefault(contents[path], []).extend(ids)
    return found


def _questions(samples: Sequence[Sample], last: bool, contents: Mapping[Hashable, str] | None = None) -> Uses:
    """Return the questions of samples, with the video that they are about if ``contents`` are given."""
    uses: Uses = {}
    for sample in samples:
        for question in _asked(sample, last):
            key: Hashable = _plain(question)
            if contents is not None:
                video = None if sample.video is None else sample.video.resolve()
                missing = sample.extra.get("missing")
                if video is None and not missing:
                    continue
                key = (key, contents.get(video, str(video or Path("missing", str(missing[0])))))
            if sample.id not in uses.setdefault(key, []):
                uses[key].append(sample.id)
    return uses


def _wordings(samples: Sequence[Sample]) -> dict[Hashable, str]:
    return {_plain(question): question for sample in samples for question in _asked(sample, True)}


def _asked(sample: Sample, last: bool) -> list[str]:
    asked = [turn["content"] for turn in sample.messages if turn["role"] == "user"]
    stated = sample.extra.get("question")
    # A benchmark states the last question by itself, without prompt and choices.
    asked[-1] = stated if isinstance(stated, str) else asked[-1]
    return asked[-1:] if last else asked


def _plain(question: str) -> str:
    return NOT_WORDS.sub(" ", question.casefold()).strip()
