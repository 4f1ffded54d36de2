"""BlindSpot: sets of the embedded world, which are a data set of this library already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from pave.data.jsonl import SAMPLES_FILE
from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, RawFiles
from pave.evaluation.benchmarks.rows import Media, Place, Row, places

KEPT = ("track", "form", "answer", "blind", "seed")


def read(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read a set as ``pave blindspot make`` wrote it."""
    path = raw.find(SAMPLES_FILE)
    content = path.read_bytes()
    raw.record(path, hashlib.sha256(content).hexdigest())
    lines = [line for line in content.decode("utf-8", errors="replace").split("\n") if line.strip()]
    for number, line in enumerate(lines, start=1):
        try:
            entry = Entry(json.loads(line), f"{path}:{number}")
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not valid JSON ({error.msg}); make the set again") from None
        yield _row(entry)


def _row(entry: Entry) -> Row:
    video, answer = entry.text("video"), entry.text("answer")
    side = {name: file for name, file in (entry.get("side") or {}).items() if file is not None and file != video}
    return Row(
        id=entry.text("id"),
        question=entry.value("messages")[0]["content"],
        messages=entry.value("messages"),
        media=Media(video.rsplit("/", 1)[-1].rsplit(".", 1)[0], places(video), _side(side)),
        references=(answer,),
        category=entry.text("form"),
        fields={name: entry.value(name) for name in KEPT},
    )


def _side(files: dict[str, str]) -> dict[str, tuple[Place, ...]]:
    return {channel: places(file) for channel, file in files.items()}


BENCHMARK = make_benchmark(
    Preparation("blindspot", {"test": Split(read)}, prompts=("reference",), channels=("audio", "frames")),
    title="BlindSpot",
    conventions=("blindspot",),
    max_new_tokens=16,
)
