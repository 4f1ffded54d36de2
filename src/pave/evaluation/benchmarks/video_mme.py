"""Video-MME: four lettered options about short, medium and long films, with and without their subtitles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.choices import LETTER_ONLY, select_best
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, Expected, RawFiles
from pave.evaluation.benchmarks.rows import Media, Place, Row, places, turn
from pave.evaluation.benchmarks.subtitles import NONE, frame_numbers, read_subtitles, shown

DURATIONS = {"short": 900, "medium": 900, "long": 900}
LETTERS = ("A", "B", "C", "D")
FRAMES = 32
FILE = "test-00000-of-00001.parquet"
TITLE = "This video's subtitles are listed below:"
BEST = "The best answer is:"
WITHOUT = "without subtitles"


def prompt(form: str, question: str, options: Sequence[str], subtitles: Sequence[str] | None = None) -> str:
    """Return a question as the model is asked it.

    Args:
        form: ``lmms-eval``, which speaks of subtitles even where there are none, or ``official``.
        question: The question.
        options: With their letters.
        subtitles: Rows of text; ``None`` to ask without.
    """
    about = "the video and the subtitles" if form == "lmms-eval" or subtitles is not None else "the video"
    listed = "\n".join([select_best(LETTERS, about), question, *options])
    if subtitles is not None:
        # lmms-eval writes a space after the colon.
        title = f"{TITLE} " if form == "lmms-eval" else TITLE
        return "\n".join([title, "\n".join(subtitles) or NONE, listed, BEST])
    return f"{listed}\n\n{LETTER_ONLY}" if form == "lmms-eval" else f"{listed}\n{BEST}"


def read(raw: RawFiles, config: PrepareConfig, subtitled: bool) -> Iterable[Row]:
    """Read the table of questions, and the subtitles at the times of frames that are spread over each film."""
    if config.frames is not None and not subtitled:
        raise InputError(f"frames decides the subtitles that are shown; split {config.split} shows none, leave it out")
    path = raw.find(f"videomme/{FILE}", FILE, f"data/{FILE}")
    entries = _table(raw, path)
    texts = _Subtitles(config.media or config.raw, config.frames or FRAMES)
    for entry in entries:
        video, question = entry.text("videoID"), entry.text("question")
        options, answer = entry.texts("options"), entry.among("answer", LETTERS)
        if len(options) != len(LETTERS):
            raise InputError(f"{entry.where}: has {len(options)} options; every question has {len(LETTERS)}")
        rows = texts.of(video) if subtitled else None
        yield Row(
            id=entry.text("question_id"),
            question=question,
            messages=turn(prompt(str(config.prompt), question, options, rows), answer),
            media=Media(video, _places(video)),
            references=(answer,),
            category=entry.among("duration", list(DURATIONS)),
            choices=tuple(_without_letter(option, letter) for option, letter in zip(options, LETTERS, strict=True)),
            fields={
                "options": options,
                "videoID": video,
                **{name: entry.text(name) for name in ("video_id", "duration", "domain", "sub_category", "task_type")},
            },
            notes=(WITHOUT,) if rows == [] else (),
        )


class _Subtitles:
    """The rows of each film, read once."""

    def __init__(self, root: Path, frames: int) -> None:
        self.root = root
        self.frames = frames
        self.rows: dict[str, list[str]] = {}

    def of(self, video: str) -> list[str]:
        if video not in self.rows:
            self.rows[video] = self._read(video)
        return self.rows[video]

    def _read(self, video: str) -> list[str]:
        film = next((path for path in (self.root / place.path for place in _places(video)) if path.is_file()), None)
        path = next(
            (path for path in (self.root / f"{f}{video}.srt" for f in ("subtitle/", "")) if path.is_file()), None
        )
        if film is None or path is None:
            return []
        numbers, frame_rate = frame_numbers(film, self.frames)
        return shown(read_subtitles(path), numbers, frame_rate)


def _table(raw: RawFiles, path: Path) -> list[Entry]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path}: needs pyarrow to be read; install it with: pip install 'pave[benchmarks]'"
        ) from None
    try:
        rows: list[Any] = parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowInvalid, OSError):
        raise InputError(f"{path}: no Parquet table that can be read; download the file again") from None
    raw.record(path, hashlib.sha256(path.read_bytes()).hexdigest())
    raw.check(path, len(rows), Expected(2700))
    return [Entry(row, f"{path}: row {number}") for number, row in enumerate(rows, start=1)]


def _places(video: str) -> tuple[Place, ...]:
    names = [f"{video}{suffix}" for suffix in (".mp4", ".MP4", ".mkv")]
    return places(*(f"{folder}{name}" for folder in ("data/", "video/", "videos/", "") for name in names))


def _without_letter(option: str, letter: str) -> str:
    return option.removeprefix(f"{letter}.").strip()


BENCHMARK = make_benchmark(
    Preparation(
        "video-mme",
        {
            "test": Split(partial(read, subtitled=False), 2700, DURATIONS),
            "test-subtitles": Split(partial(read, subtitled=True), 2700, DURATIONS),
        },
        prompts=("lmms-eval", "official"),
        channels=("audio", "frames"),
        options=("frames",),
    ),
    title="Video-MME",
    max_new_tokens=16,
)
