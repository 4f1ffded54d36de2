"""Ego-Exo4D demonstrator proficiency: how skilled someone is, seen by their own camera and others around."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import PurePosixPath

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, RawFiles
from pave.evaluation.benchmarks.rows import Media, Place, Row, places, turn
from pave.evaluation.conventions.ego_exo4d import EXO_VIEWS, LEVELS

TASK = (
    "In this video, a human is performing an activity. Your goal is to evaluate the human's skill level based on "
    "their technique, consistency, and overall execution of the activity. You will classify the performance into one "
    "of the following levels: {levels} Example Output: Early Expert"
)
PROMPTS = {
    "reference": TASK.format(
        levels="1. Novice: Beginner-level performance with noticeable gaps in basic skills, understanding, or "
        "execution. 2. Early Expert: Competent performance showing solid foundational skills, but with room for "
        "refinement. 3. Intermediate Expert: Advanced performance demonstrating strong technical abilities and "
        "strategic understanding, but not yet at mastery. 4. Late Expert: Near-masterful or masterful performance, "
        "showcasing exceptional skill, precision, and expertise."
    ),
    "short": TASK.format(levels="1. Novice 2. Early Expert. 3. Intermediate Expert 4. Late Expert."),
}


def read(raw: RawFiles, config: PrepareConfig, name: str) -> Iterable[Row]:
    """Read the takes of a file, which is a list, or an object that holds one."""
    path = raw.find(*(f"{folder}proficiency_demonstrator_{name}.json" for folder in ("annotations/", "")))
    for entry in raw.entries(path, under="annotations"):
        videos = _videos(entry)
        level = entry.among("proficiency_score", LEVELS)
        take = entry.text("take_uid")
        prompt = PROMPTS[str(config.prompt)]
        yield Row(
            id=take,
            question=prompt,
            messages=turn(prompt, level),
            media=Media(
                name=take,
                video=videos["ego"],
                cameras=tuple(found for camera, found in videos.items() if camera != "ego"),
            ),
            references=(level,),
            category=entry.text("scenario_name"),
            fields={
                "scenario_name": entry.text("scenario_name"),
                "task_name": entry.get("task_name"),
                "views": len(videos) - 1,
                "label": LEVELS.index(level),
            },
            notes=() if len(videos) == EXO_VIEWS + 1 else (f"{len(videos) - 1} other cameras, not {EXO_VIEWS}",),
        )


def _videos(entry: Entry) -> dict[str, tuple[Place, ...]]:
    """Return the places of each camera's video: scaled down to 448 pixels, or in full."""
    paths = Entry(entry.value("video_paths"), f"{entry.where}: video_paths")
    if "ego" not in paths or len(paths.values) < 2:
        raise InputError(f"{paths.where}: names {', '.join(paths.values) or 'none'}; it must name ego and exo cameras")
    return {camera: _sizes(PurePosixPath(paths.text(camera))) for camera in sorted(paths.values)}


def _sizes(path: PurePosixPath) -> tuple[Place, ...]:
    return places(str(path.parent / "downscaled" / "448" / path.name), str(path))


BENCHMARK = make_benchmark(
    Preparation(
        "ego-exo4d",
        {name: Split(partial(read, name=name)) for name in ("val", "train")},
        prompts=tuple(PROMPTS),
        channels=("views",),
    ),
    title="Ego-Exo4D demonstrator proficiency",
    max_new_tokens=1024,
)
