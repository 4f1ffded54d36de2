"""MVBench: twenty tasks of a few options each about short clips, some of them cut from longer films."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from pave.errors import InputError
from pave.evaluation.benchmarks.benchmark import PrepareConfig
from pave.evaluation.benchmarks.choices import bracketed, letter_of
from pave.evaluation.benchmarks.prepare import Preparation, Split, make_benchmark
from pave.evaluation.benchmarks.raw import Entry, Expected, RawFiles
from pave.evaluation.benchmarks.rows import Film, Media, Place, Row, places, turn

EACH = 200
SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question.\n"
)


class Task(NamedTuple):
    """Where the films of a task lie.

    Args:
        folder: On the branch ``video`` of the release, whose films are cut already.
        whole: On the branch ``main``, if it is another.
        cut: Whether the films there are longer than what is asked about.
        pictures: Whether there are folders of pictures there.
    """

    folder: str
    whole: str | None = None
    cut: bool = False
    pictures: bool = False


CHARADES = Task("star/Charades_segment", "star/Charades_v1_480", cut=True)
CLEVRER, PERCEPTION = Task("clevrer/video_validation"), Task("perception/videos")
TASKS = {
    "Action Sequence": CHARADES,
    "Action Prediction": CHARADES,
    "Action Antonym": Task("ssv2_video_mp4", "ssv2_video"),
    "Fine-grained Action": Task("Moments_in_Time_Raw/videos"),
    "Unexpected Action": Task("FunQA_test/test"),
    "Object Existence": CLEVRER,
    "Object Interaction": CHARADES,
    "Object Shuffle": PERCEPTION,
    "Moving Direction": CLEVRER,
    "Action Localization": Task("sta/sta_video_segment", "sta/sta_video", cut=True),
    "Scene Transition": Task("scene_qa/video"),
    "Action Count": PERCEPTION,
    "Moving Count": CLEVRER,
    "Moving Attribute": CLEVRER,
    "State Change": PERCEPTION,
    "Fine-grained Pose": Task("nturgbd_convert", "nturgbd"),
    "Character Order": PERCEPTION,
    "Egocentric Navigation": Task("vlnqa"),
    "Episodic Reasoning": Task("tvqa/video_fps3_hq_segment", "tvqa/frames_fps3_hq", cut=True, pictures=True),
    "Counterfactual Inference": CLEVRER,
}
ROOTS = ("", "video/", "data0613/")
PICTURES_PER_SEC = 3.0


def file_of(task: str) -> str:
    """Return the name of a task's file."""
    return f"{task.lower().replace(' ', '_').replace('-', '_')}.json"


def prompt(form: str, question: str, choices: list[str]) -> str:
    """Return a question as the model is asked it: as in ``lmms-eval``, or in the authors' notebook, ``official``."""
    if form == "lmms-eval":
        return f"Question:{question}\nOption:\n{bracketed(choices)}\nOnly give the best option.\n"
    return f"Question: {question}\nOptions:\n{bracketed(choices)}\nOnly give the best option."


def read(raw: RawFiles, config: PrepareConfig) -> Iterable[Row]:
    """Read the files of all twenty tasks; answers are given as texts."""
    system = SYSTEM if config.prompt == "official" else None
    for name, task in TASKS.items():
        path = raw.find(f"json/{file_of(name)}", file_of(name))
        for number, entry in enumerate(raw.entries(path, Expected(EACH))):
            question, choices = entry.text("question"), entry.texts("candidates")
            answer = str(entry.value("answer"))
            letter = letter_of(answer, choices)
            if letter is None:
                raise InputError(
                    f"{entry.where}: answer {answer!r} is none of the candidates; download the file again"
                )
            yield Row(
                id=f"{path.stem}-{number}",
                question=question,
                messages=turn(prompt(str(config.prompt), question, choices), letter, system),
                media=_media(entry, task),
                references=(letter,),
                category=name,
                choices=tuple(choices),
                fields={"answer_text": answer, "task": path.stem},
            )


def _media(entry: Entry, task: Task) -> Media:
    video = PurePosixPath(entry.text("video"))
    if not task.cut or "start" not in entry:
        folders = [task.folder] if task.whole is None else [task.folder, task.whole]
        names = dict.fromkeys([str(video), str(video.with_suffix(".mp4"))])
        return Media(video.stem, _places(*(f"{folder}/{name}" for folder in folders for name in names)))
    # Films that are cut bear the numbers of the annotation, digit by digit.
    bounds = f"{entry.value('start')}_{entry.value('end')}"
    stem = str(video) if task.pictures else video.stem
    cut = f"{stem}_{bounds}"
    return Media(
        name=cut,
        video=_places(f"{task.folder}/{cut}.mp4", f"{task.folder}/{video}"),
        film=Film(
            _places(f"{task.whole}/{video}"),
            start_sec=entry.seconds("start"),
            end_sec=entry.seconds("end"),
            pictures_per_sec=PICTURES_PER_SEC if task.pictures else 30.0,
            first_number=1,
        ),
    )


def _places(*paths: str) -> tuple[Place, ...]:
    return places(*(f"{root}{path}" for path in paths for root in ROOTS))


BENCHMARK = make_benchmark(
    Preparation(
        "mvbench",
        {"test": Split(read, EACH * len(TASKS), dict.fromkeys(TASKS, EACH))},
        prompts=("lmms-eval", "official"),
        channels=("audio", "frames"),
        options=("films",),
    ),
    title="MVBench",
    max_new_tokens=16,
)
