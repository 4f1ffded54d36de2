"""AVQA: four options about ten-second clips of VGGSound."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.choices import LETTER_ONLY, letters, select_best
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, RawFiles
from pave.evaluation.benchmarks.rows import Media, Row, places, turn

PADDING = "NULL"
"""What the authors' code puts in the place of an option that a question does not have."""

FOLDERS = ("data/video/", "video/", "videos/", "avqa_subset/", "")


def prompt(question: str, choices: list[str]) -> str:
    """Return the paper's form of a question, which speaks of subtitles though there are none."""
    options = [f"{letter}.{choice}" for letter, choice in zip(letters(choices), choices, strict=True)]
    return "\n".join([select_best(letters(choices), "the video and the subtitles"), question, *options, LETTER_ONLY])


def read(raw: RawFiles, config: PrepareConfig, name: str) -> Iterable[Row]:
    """Read the questions of a file; the answer is the number of an option."""
    path = raw.find(*(f"{folder}{name}" for folder in ("data/annotation/", "annotation/", "")))
    for entry in raw.entries(path):
        listed = entry.texts("multi_choice")
        choices = [choice for choice in listed if choice != PADDING]
        question, clip = entry.text("question_text"), entry.text("video_name")
        letter = _letter(entry, listed)
        yield Row(
            id=str(entry.value("id")),
            question=question,
            messages=turn(prompt(question, choices), letter),
            media=Media(clip, places(*(f"{folder}{clip}.mp4" for folder in FOLDERS))),
            references=(letter,),
            category=entry.text("question_type"),
            choices=tuple(choices),
            fields={"question_relation": entry.get("question_relation")},
            notes=() if len(choices) == 4 else (f"{len(choices)} options",),
        )


def _letter(entry: Entry, listed: list[str]) -> str:
    """Return the letter of the right option; its number counts what stands for no option, too, and letters do not."""
    answer = entry.whole("answer")
    if not 0 <= answer < len(listed) or listed[answer] == PADDING or len(listed) - listed.count(PADDING) < 2:
        raise InputError(
            f"{entry.where}: answer is {answer}; it must be the number, from 0, of one of several options"
        )
    before = [choice for choice in listed[:answer] if choice != PADDING]
    return letters(listed)[len(before)]


BENCHMARK = make_benchmark(
    Preparation(
        "avqa",
        {"val": Split(partial(read, name="val_qa.json")), "train": Split(partial(read, name="train_qa.json"))},
        prompts=("reference",),
        channels=("audio", "frames"),
    ),
    title="AVQA",
    max_new_tokens=1024,
)
