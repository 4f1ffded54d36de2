"""ScanQA: free answers about ScanNet scenes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Expected, RawFiles
from pave.evaluation.benchmarks.rows import Row, turn
from pave.evaluation.benchmarks.scans import scene_media
from pave.evaluation.conventions.scanqa import question_class

PROMPTS = {
    "reference": "{}",
    "short": "{} Answer the question using a single word or phrase.",
    "video3d": "{} Answer the question simply.",
}


def read(raw: RawFiles, config: PrepareConfig, name: str, count: int) -> Iterable[Row]:
    """Read the questions of a file; conversations end with the first answer, as the paper trains on."""
    path = raw.find(*(f"{folder}ScanQA_v1.0_{name}.json" for folder in ("", "qa/", "ScanQA_v1.0/")))
    for entry in raw.entries(path, Expected(count, firm=False)):
        question, scene = entry.text("question"), entry.text("scene_id")
        answers = entry.texts("answers") if "answers" in entry else []
        yield Row(
            id=entry.text("question_id"),
            question=question,
            messages=turn(PROMPTS[str(config.prompt)].format(question), answers[0] if answers else None),
            media=scene_media(scene),
            references=tuple(answers),
            category=question_class(question),
            fields={"scene_id": scene, "object_names": entry.get("object_names")},
            notes=() if answers else ("answers withheld",),
        )


BENCHMARK = make_benchmark(
    Preparation(
        "scanqa",
        {
            name.replace("_", "-"): Split(partial(read, name=name, count=count), count, firm=False)
            for name, count in {"val": 4675, "train": 25563, "test_w_obj": 4976, "test_wo_obj": 6149}.items()
        },
        prompts=tuple(PROMPTS),
        channels=("depth",),
        options=("films",),
    ),
    title="ScanQA",
    max_new_tokens=1024,
)
