"""From raw files to a data set: read, count against the official numbers, find the media, write all or nothing."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pave.data.jsonl import SAMPLES_FILE
from pave.data.progress import progress_bar
from pave.errors import InputError, nearest
from pave.evaluation import conventions
from pave.evaluation.benchmarks.benchmark import Benchmark, GenerationSettings, PrepareConfig
from pave.evaluation.benchmarks.manifest import Count, Lacking, Manifest
from pave.evaluation.benchmarks.media import Found, MediaFinder
from pave.evaluation.benchmarks.raw import RawFiles
from pave.evaluation.benchmarks.rows import Row
from pave.files import check_vacant, whole_folder

REPEATED = "id repeated in the raw files, a number added"
UNMADE = "its video can be made of what is there: use --films"
SPECIAL = {"films": False, "frames": None, "duplicate_audio": False}
"""Options that only some benchmarks have, and what stands for not given."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """A split of a benchmark.

    Args:
        read: Returns its samples; ``split`` and ``prompt`` of the configuration are filled in.
        samples: The official number.
        categories: The official numbers by category.
        firm: These were counted in the official files, so that others mean another version.
    """

    read: Callable[[RawFiles, PrepareConfig], Iterable[Row]]
    samples: int | None = None
    categories: Mapping[str, int] = field(default_factory=dict)
    firm: bool = True


@dataclass(frozen=True)
class Preparation:
    """How the raw files of one benchmark become a data set; call it with a configuration.

    Args:
        benchmark: Its name.
        splits: The first is the default.
        prompts: The first is the default.
        channels: Side channels that its media hold.
        options: Which of :data:`SPECIAL` it has.
    """

    benchmark: str
    splits: Mapping[str, Split]
    prompts: tuple[str, ...]
    channels: tuple[str, ...]
    options: tuple[str, ...] = ()

    def __call__(self, config: PrepareConfig) -> Manifest:
        """Prepare a split.

        Raises:
            InputError: If the raw files are of another form or version, an option does not fit, or the output folder
                is not empty; nothing is written then.
        """
        check_vacant(config.out)
        config = self._filled_in(config)
        split = self.splits[str(config.split)]
        raw = RawFiles(config.raw, config.any_count)
        rows = list(split.read(raw, config))
        categories = self._counted(rows, split, config)
        with whole_folder(config.out) as fresh:
            samples, found = self._samples(rows, config, fresh)
            lines = [
                json.dumps(sample, ensure_ascii=False)
                for sample in samples
                if not (config.leave_out_missing and sample["missing"])
            ]
            if not lines:
                raise InputError(f"{config.media or config.raw}: holds no media of any sample; check --media")
            (fresh / SAMPLES_FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            lacking = [Lacking(sample["id"], tuple(sample["missing"])) for sample in samples if sample["missing"]]
            has = Counter(channel for item in found for channel, path in item.side.items() if path is not None)
            official = None if config.duplicate_audio else split.samples
            manifest = Manifest(
                benchmark=self.benchmark,
                split=str(config.split),
                prompt=str(config.prompt),
                samples=Count(len(samples), official),
                categories=categories,
                raw=tuple(raw.files),
                channels={channel: has[channel] for channel in config.channels or ()},
                missing=tuple(lacking),
                left_out=len(samples) - len(lines),
                notes=_notes(rows, samples, found),
                options={name: getattr(config, name) for name in self.options},
            )
            manifest.write(fresh)
        if lacking:
            what = "left out" if config.leave_out_missing else "written without them"
            logger.warning("%d of %d samples lack media and are %s", len(lacking), len(samples), what)
        return manifest

    def _filled_in(self, config: PrepareConfig) -> PrepareConfig:
        """Put the defaults in, and check what is not this benchmark's."""
        split = _chosen("split", config.split, tuple(self.splits), self.benchmark)
        prompt = _chosen("prompt", config.prompt, self.prompts, self.benchmark)
        for name, default in SPECIAL.items():
            if name not in self.options and getattr(config, name) != default:
                raise InputError(f"{self.benchmark} has no option {name}; leave it out")
        channels = (*self.channels, *config.features) if config.channels is None else config.channels
        for channel in channels:
            if channel not in self.channels and channel not in config.features:
                raise InputError(
                    f"channel {channel!r}: the media of {self.benchmark} hold {', '.join(self.channels) or 'none'}"
                    f"{nearest(channel, self.channels)}; give a folder with --features {channel}=DIR"
                )
        return dataclasses.replace(config, split=split, prompt=prompt, channels=tuple(dict.fromkeys(channels)))

    def _counted(self, rows: Sequence[Row], split: Split, config: PrepareConfig) -> dict[str, Count]:
        """Return the samples by category beside the official numbers."""
        if not rows:
            raise InputError(f"{config.raw}: holds no samples of split {config.split}")
        found = Counter(row.category for row in rows if row.category is not None)
        names = [*split.categories, *sorted(set(found) - set(split.categories))]
        official = {} if config.duplicate_audio else split.categories
        counts = {name: Count(found[name], official.get(name, 0 if official else None)) for name in names}
        others = {name: count for name, count in counts.items() if count.official not in (None, count.found)}
        if not others:
            return counts
        name, first = next(iter(others.items()))
        differs = (
            f"{config.raw}: {first.found:,} samples of {name!r} in split {config.split}; "
            f"the official files have {first.official:,}"
        )
        if split.firm and not config.any_count:
            raise InputError(f"{differs}: get those, or take these as they are with --any-count")
        logger.warning("%s; %d categories differ in all, see the manifest", differs, len(others))
        return counts

    def _samples(
        self, rows: Sequence[Row], config: PrepareConfig, fresh: Path
    ) -> tuple[list[dict[str, Any]], list[Found]]:
        finder = MediaFinder(
            config.media or config.raw, config.out, fresh, config.channels or (), config.features, config.films
        )
        samples, found, seen = [], list[Found](), Counter[str]()
        with progress_bar("samples") as bar:
            task = bar.add_task(f"preparing {self.benchmark}", total=len(rows), note="")
            for row in rows:
                seen[row.id] += 1
                name = row.id if seen[row.id] == 1 else f"{row.id}-{seen[row.id]}"
                found.append(finder.find(row.media))
                samples.append(self._sample(name, row, found[-1], str(config.split)))
                bar.advance(task)
        return samples, found

    def _sample(self, name: str, row: Row, found: Found, split: str) -> dict[str, Any]:
        return {
            "id": name,
            "video": found.video,
            "side": found.side,
            "messages": row.messages,
            "benchmark": self.benchmark,
            "split": split,
            "question": row.question,
            "references": list(row.references),
            "category": row.category,
            "choices": None if row.choices is None else list(row.choices),
            **row.fields,
            "missing": list(found.missing),
        }


def make_benchmark(preparation: Preparation, title: str, max_new_tokens: int) -> Benchmark:
    """Return the benchmark that a preparation belongs to."""
    return Benchmark(
        name=preparation.benchmark,
        splits=tuple(preparation.splits),
        conventions=conventions.names(preparation.benchmark),
        generation=GenerationSettings(max_new_tokens),
        prepare=preparation,
        title=title,
        counts={name: split.samples for name, split in preparation.splits.items()},
        prompts=preparation.prompts,
    )


def _chosen(noun: str, name: str | None, known: tuple[str, ...], benchmark: str) -> str:
    if name is None:
        return known[0]
    if name not in known:
        raise InputError(f"{benchmark} has no {noun} {name!r}; known: {', '.join(known)}{nearest(name, known)}")
    return name


def _notes(rows: Sequence[Row], samples: Sequence[Mapping[str, Any]], found: Sequence[Found]) -> dict[str, int]:
    notes = Counter(note for row in rows for note in row.notes)
    notes[REPEATED] = sum(sample["id"] != row.id for sample, row in zip(samples, rows, strict=True))
    notes[UNMADE] = sum(item.unmade for item in found)
    return {note: count for note, count in notes.items() if count}
