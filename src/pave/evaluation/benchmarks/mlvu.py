"""MLVU (dev): seven tasks of four options about long films, and two of free text that a judge must score."""

from __future__ import annotations

from collections.abc import Iterable

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.choices import bracketed, letter_of
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, Expected, RawFiles
from pave.evaluation.benchmarks.rows import Media, Row, places, turn

CHOICE_FILES = {
    "plotQA": ("1_plotQA", 539),
    "needle": ("2_needle", 355),
    "ego": ("3_ego", 352),
    "count": ("4_count", 206),
    "order": ("5_order", 259),
    "anomaly_reco": ("6_anomaly_reco", 200),
    "topic_reasoning": ("7_topic_reasoning", 264),
}
FREE_FILES = {"sub_scene": ("8_sub_scene", 201), "summary": ("9_summary", 217)}
TYPES = {"needle": "findNeedle", "sub_scene": "subPlot"}
"""Tasks that go by another name inside their file."""

UNANSWERABLE = "@"
"""Letter before A: what the authors' code makes of an answer that is none of the options."""

SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, select the best option "
    "that accurately addresses the question."
)


def prompt(form: str, question: str, choices: list[str]) -> str:
    """Return a question as the model is asked it: as in ``lmms-eval``, or in the authors' code, ``official``."""
    if form == "lmms-eval":
        return f"{question}\n{bracketed(choices)}\nOnly give the best option.\nBest option: ("
    return f"Question: {question}\nOptions:\n{bracketed(choices)}".rstrip() + "\nOnly give the best option."


def read_choice(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read the seven files of options; answers are given as texts, two of which are no option."""
    system = SYSTEM if config.prompt == "official" else None
    for task, (stem, count) in CHOICE_FILES.items():
        for number, entry in enumerate(_entries(raw, task, stem, count)):
            question, choices, answer = entry.text("question"), entry.texts("candidates"), entry.text("answer")
            letter = letter_of(answer, choices)
            notes = ("answer is none of the options",) if letter is None else ()
            notes += ("an option stands twice",) if len(set(choices)) < len(choices) else ()
            yield Row(
                id=f"{stem}-{number}",
                question=question,
                messages=turn(prompt(str(config.prompt), question, choices), letter or UNANSWERABLE, system),
                media=_media(entry, stem),
                references=(letter or UNANSWERABLE,),
                category=task,
                choices=tuple(choices),
                fields={"answer_text": answer, "duration_sec": entry.seconds("duration")},
                notes=notes,
            )


def read_free(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read the two files of free text."""
    for task, (stem, count) in FREE_FILES.items():
        for number, entry in enumerate(_entries(raw, task, stem, count)):
            question, answer = entry.text("question"), entry.text("answer")
            yield Row(
                id=f"{stem}-{number}",
                question=question,
                messages=turn(question, answer),
                media=_media(entry, stem),
                references=(answer,),
                category=task,
                fields={
                    "duration_sec": entry.seconds("duration"),
                    "scoring_points": entry.texts("scoring_points") if task == "sub_scene" else None,
                },
            )


def _entries(raw: RawFiles, task: str, stem: str, count: int) -> list[Entry]:
    path = raw.find(*(f"{folder}{stem}.json" for folder in ("MLVU/json/", "json/", "data/", "")))
    entries = raw.entries(path, Expected(count))
    wanted = TYPES.get(task, task)
    for entry in entries:
        if entry.text("question_type") not in (wanted, task):
            found = entry.get("question_type")
            raise InputError(f"{entry.where}: question_type is {found!r}; the published file has {wanted!r}")
    return entries


def _media(entry: Entry, stem: str) -> Media:
    video = entry.text("video")
    folders = (f"MLVU/video/{stem}/", f"video/{stem}/", f"{stem}/", "video/", "")
    return Media(video.rsplit(".", 1)[0], places(*(f"{folder}{video}" for folder in folders)))


def _counts(files: dict[str, tuple[str, int]]) -> dict[str, int]:
    return {task: count for task, (_, count) in files.items()}


BENCHMARK = make_benchmark(
    Preparation(
        "mlvu",
        {
            "dev": Split(read_choice, 2175, _counts(CHOICE_FILES)),
            "dev-generation": Split(read_free, 418, _counts(FREE_FILES)),
        },
        prompts=("lmms-eval", "official"),
        channels=("audio", "frames"),
    ),
    title="MLVU (dev)",
    max_new_tokens=16,
)
