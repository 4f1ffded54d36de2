"""SQA3D: questions from a described place in a ScanNet scene."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Expected, RawFiles
from pave.evaluation.benchmarks.rows import Row, turn
from pave.evaluation.benchmarks.scans import scene_media
from pave.evaluation.conventions.sqa3d import TYPES, mcan_type

PROMPTS = {
    "reference": "{}",
    "video3d": "{} Answer the question using a single word or phrase.",
}
TEST = {"what": 1144, "is": 652, "how": 465, "can": 338, "which": 351, "other": 569}
FOLDERS = ("", "sqa_task/balanced/", "balanced/")


def read(raw: RawFiles, config: PrepareConfig, name: str, count: int, firm: bool) -> Iterable[Row]:
    """Read the file of questions and that of annotations, joined by the id of the question."""
    expected = Expected(count, firm)
    path = raw.find(*(f"{folder}v1_balanced_questions_{name}_scannetv2.json" for folder in FOLDERS))
    questions = raw.entries(path, expected, under="questions")
    path = raw.find(*(f"{folder}v1_balanced_sqa_annotations_{name}_scannetv2.json" for folder in FOLDERS))
    annotations = raw.entries(path, expected, under="annotations")
    by_id = {entry.value("question_id"): entry for entry in annotations}
    for entry in questions:
        number = entry.value("question_id")
        if number not in by_id:
            raise InputError(f"{entry.where}: question_id {number} is not in {path}; get both files of one release")
        answers = tuple(answer.text("answer") for answer in by_id[number].entries("answers"))
        if not answers:
            raise InputError(f"{by_id[number].where}: answers is empty; every question has one")
        situation, question, scene = entry.text("situation"), entry.text("question"), entry.text("scene_id")
        asked = f"{situation.strip()} {question.strip()}"
        yield Row(
            id=str(number),
            question=question,
            messages=turn(PROMPTS[str(config.prompt)].format(asked), answers[0]),
            media=scene_media(scene),
            references=answers,
            category=TYPES[mcan_type(question)],
            fields={
                "scene_id": scene,
                "situation": situation,
                "alternative_situation": entry.get("alternative_situation"),
            },
        )


BENCHMARK = make_benchmark(
    Preparation(
        "sqa3d",
        {
            "test": Split(partial(read, name="test", count=3519, firm=True), 3519, TEST),
            "val": Split(partial(read, name="val", count=3261, firm=False), 3261, firm=False),
            "train": Split(partial(read, name="train", count=26623, firm=False), 26623, firm=False),
        },
        prompts=tuple(PROMPTS),
        channels=("depth",),
        options=("films",),
    ),
    title="SQA3D",
    max_new_tokens=1024,
)
