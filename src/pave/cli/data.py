"""``pave data``: benchmarks from their raw files, what sets have in common, and a control with shuffled channels."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pave.cli import print_json
from pave.cli.arguments import choose, parse

if TYPE_CHECKING:
    from pave.data.check import CheckReport
    from pave.evaluation.benchmarks.manifest import Manifest

COMMANDS = {
    "prepare": "turn a benchmark's raw files into a data set",
    "list": "show the benchmarks",
    "check": "find what training and test sets share",
    "shuffle": "give every clip the side channels of another, as a control",
}
EXAMPLES = 3


def main(arguments: list[str]) -> None:
    """Run one of :data:`COMMANDS`."""
    chosen = choose("pave data", COMMANDS, arguments)
    if chosen is None:
        return
    name, rest = chosen
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if name == "check" and rest and not rest[0].startswith("-"):
        rest = ["--train", *rest]
    target = {"prepare": prepare, "list": list_benchmarks, "check": check, "shuffle": shuffle}[name]
    positional = {"prepare": ["name"], "shuffle": ["data"]}.get(name, [])
    parse(target, f"pave data {name}", rest, positional, may_be_empty=["channels"] if name == "prepare" else [])


def prepare(
    name: str,
    raw: Path,
    out: Path,
    split: str | None = None,
    media: Path | None = None,
    channels: list[str] | None = None,
    features: dict[str, str] | None = None,
    prompt: str | None = None,
    any_count: bool = False,
    leave_out_missing: bool = False,
    films: bool = False,
    frames: int | None = None,
    duplicate_audio: bool = False,
    json: bool = False,
) -> None:
    """Turn a benchmark's raw files, as they are published, into a data set with a manifest.

    Args:
        name: The benchmark; pave data list shows them.
        raw: Folder of the raw files.
        out: New or empty folder for samples.jsonl and manifest.json.
        split: By default the one that is usually reported.
        media: Folder of videos and recordings; by default that of the raw files.
        channels: Side channels to name, none if none stands there; by default all that the media hold.
        features: Folders of feature files named as the videos, as channel=folder.
        prompt: Form of the question; by default the first that pave data list shows.
        any_count: Take raw files whose number of entries is not the official one.
        leave_out_missing: Leave samples that lack media out of samples.jsonl, for training.
        films: Write films of what is published as pictures, or must be cut (MVBench, ScanNet scenes).
        frames: Frames at whose times subtitles are shown (Video-MME); by default 32.
        duplicate_audio: Write training questions about sound twice, as the paper did (MUSIC-AVQA).
        json: Print the manifest, without its lists, as one JSON object.
    """
    from pave.evaluation.benchmarks import registry
    from pave.evaluation.benchmarks.benchmark import PrepareConfig

    benchmark = registry.get(name)
    manifest = benchmark.prepare(
        PrepareConfig(
            raw=raw,
            out=out,
            split=split,
            media=media,
            channels=None if channels is None else tuple(channels),
            features={channel: Path(folder) for channel, folder in (features or {}).items()},
            prompt=prompt,
            any_count=any_count,
            leave_out_missing=leave_out_missing,
            films=films,
            frames=frames,
            duplicate_audio=duplicate_audio,
        )
    )
    if json:
        print_json({"out": str(out), **manifest.summary()})
    else:
        _print_manifest(manifest, out)


def list_benchmarks(json: bool = False) -> None:
    """Show the benchmarks, their splits, and the conventions that score them.

    Args:
        json: Print the list as one JSON object.
    """
    from pave.evaluation.benchmarks import registry

    benchmarks = [registry.get(name) for name in registry.names()]
    if json:
        listed = {
            benchmark.name: {
                "title": benchmark.title,
                "splits": {split: benchmark.counts.get(split) for split in benchmark.splits},
                "conventions": list(benchmark.conventions),
                "prompts": list(benchmark.prompts),
                "max_new_tokens": benchmark.generation.max_new_tokens,
            }
            for benchmark in benchmarks
        }
        print_json({"benchmarks": listed})
        return
    for benchmark in benchmarks:
        splits = [f"{split}{_number(benchmark.counts.get(split))}" for split in benchmark.splits]
        print(f"{benchmark.name}: {benchmark.title}")
        print(f"  splits: {', '.join(splits)}")
        print(f"  conventions: {', '.join(benchmark.conventions)}; prompts: {', '.join(benchmark.prompts)}")


def check(
    train: list[Path],
    against: list[Path],
    kinds: list[str] | None = None,
    channels: list[str] | None = None,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Find media and questions that training and test sets share.

    Args:
        train: Training sets: .jsonl files, or folders that hold samples.jsonl.
        against: Test sets.
        kinds: What to look for: media, questions; by default both.
        channels: Names of side channels of your own that the sets use.
        strict: Exit with 1 if anything is shared.
        json: Print the result as one JSON object.
    """
    from pave.data.check import KINDS
    from pave.data.check import check as compare
    from pave.data.jsonl import read_samples
    from pave.errors import InputError, nearest

    for kind in kinds or ():
        if kind not in KINDS:
            raise InputError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}{nearest(kind, KINDS)}")
    sets = [[sample for path in paths for sample in read_samples(path, channels or ())] for paths in (train, against)]
    report = compare(*sets, kinds=kinds or KINDS)
    if json:
        print_json({"found": report.found, **dataclasses.asdict(report)})
    else:
        _print_report(report)
    if strict and report.found:
        raise SystemExit(1)


def shuffle(data: Path, out: Path, seed: int = 0, channels: list[str] | None = None, json: bool = False) -> None:
    """Write a data set anew in which every clip has the side channels of another; media stay where they are.

    Args:
        data: Data set: a .jsonl file, or a folder that holds samples.jsonl.
        out: New or empty folder for samples.jsonl.
        seed: Of the shuffling.
        channels: Names of side channels of your own that the set uses.
        json: Print the result as one JSON object.
    """
    from pave.evaluation.shuffled import write_shuffled

    count = write_shuffled(data, out, seed, channels or ())
    if json:
        print_json({"out": str(out), "shuffled": count})
    else:
        print(f"{out}: {count:,} samples have the side channels of another clip")


def _number(count: int | None) -> str:
    return "" if count is None else f" ({count:,})"


def _print_manifest(manifest: Manifest, out: Path) -> None:
    official = manifest.samples.official
    beside = "" if official is None else f" of {official:,}"
    print(f"{out}: {manifest.benchmark} {manifest.split}, {manifest.samples.found:,}{beside} samples")
    for name, count in manifest.categories.items():
        print(f"  {name}: {count.found:,}{'' if count.official is None else f' of {count.official:,}'}")
    for channel, number in manifest.channels.items():
        print(f"  with {channel}: {number:,}")
    left_out = ", left out" if manifest.left_out else ""
    print(f"  lacking media: {len(manifest.missing):,}{left_out}, each by name in manifest.json")
    for note, number in manifest.notes.items():
        print(f"  {number:,}: {note}")


def _print_report(report: CheckReport) -> None:
    print(f"{report.train_samples:,} training and {report.test_samples:,} test samples")
    for overlap in report.overlaps:
        print(
            f"{overlap.kind}: {len(overlap.matches):,}, in {overlap.train_samples:,} training and "
            f"{overlap.test_samples:,} test samples"
        )
        for match in overlap.matches[:EXAMPLES]:
            print(f"  {match.what}: {match.train} and {match.test}")
