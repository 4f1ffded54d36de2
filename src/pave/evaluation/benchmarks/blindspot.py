"""BlindSpot: sets of the embedded world, which are a data set of this library already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from pave.data.jsonl import CHANNELS, SAMPLES_FILE
from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, RawFiles
from pave.evaluation.benchmarks.rows import Media, Row, places

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
    named = entry.get("side") or {}
    # Only sound and frames are ever in the film itself.
    side = {name: places(named[name]) if named.get(name) else () for name in CHANNELS if named.get(name) != video}
    return Row(
        id=entry.text("id"),
        question=entry.value("messages")[0]["content"],
        messages=entry.value("messages"),
        media=Media(video.rsplit("/", 1)[-1].rsplit(".", 1)[0], places(video), side),
        references=(answer,),
        category=entry.text("form"),
        fields={name: entry.value(name) for name in KEPT},
    )


BENCHMARK = make_benchmark(
    Preparation("blindspot", {"test": Split(read)}, prompts=("reference",), channels=CHANNELS),
    title="BlindSpot",
    max_new_tokens=16,
)
