"""Makes a set on disk: films, their side media, their scenes, and one JSON line a question, from a seed."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pave.blindspot.channels import has_views, write_depth, write_views
from pave.blindspot.film import FilmFormat, write_film
from pave.blindspot.layouts import FLASH_FRAMES_PER_SEC
from pave.blindspot.questions.question import Question
from pave.blindspot.scene import Scene
from pave.blindspot.tracks import TRACKS
from pave.errors import InputError, nearest
from pave.files import whole_folder

logger = logging.getLogger(__name__)

CHANNELS = ("audio", "depth", "views", "frames")
SET_FILE = "set.json"
"""How a set was made, in its folder."""

_SCENE_STREAM, _SOUND_STREAM = 0, 1


@dataclass(frozen=True)
class MakeConfig:
    """What to make: ``count`` questions of a track, up to ``questions_per_clip`` of them sharing a clip.

    Each sample names the side media that its track asks about, and its sound; ``channels`` names others to write, so
    that a patch can also be asked what it does not help with.
    """

    track: str
    count: int
    seed: int
    out: Path
    workers: int = 2
    questions_per_clip: int = 4
    film: FilmFormat = field(default_factory=FilmFormat)
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.track not in TRACKS:
            known = ", ".join(TRACKS)
            raise InputError(f"unknown track {self.track!r}; known: {known}{nearest(self.track, TRACKS)}")
        for name, least in (("count", 1), ("seed", 0), ("workers", 1), ("questions_per_clip", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; write {least} or more")
        for channel in self.channels:
            if channel not in CHANNELS:
                known = ", ".join(CHANNELS)
                raise InputError(f"unknown channel {channel!r}; known: {known}{nearest(channel, CHANNELS)}")
        if self.track == "blink" and self.film.frames_per_sec % FLASH_FRAMES_PER_SEC:
            raise InputError(
                f"frames_per_sec is {self.film.frames_per_sec}; flashes of track 'blink' last one frame of "
                f"{FLASH_FRAMES_PER_SEC} a second, so write a multiple of that"
            )

    @property
    def side(self) -> tuple[str, ...]:
        """Channels that the samples name, in their usual order."""
        wanted = {"audio", *TRACKS[self.track].channels, *self.channels}
        return tuple(channel for channel in CHANNELS if channel in wanted)


@dataclass(frozen=True)
class MakeReport:
    """What was made: the file of questions, how many there are, clips, questions by form, and the mean ``blind``."""

    samples: Path
    questions: int
    clips: int
    forms: dict[str, int]
    blind: float


def recipe(config: MakeConfig) -> dict[str, Any]:
    """Return the settings that decide a set's content, as they stand in its ``set.json``."""
    settings = {name: value for name, value in asdict(config).items() if name not in ("out", "workers", "channels")}
    # Left out where it adds nothing, so that sets from before there were such channels are still known.
    return {**settings, "channels": list(config.channels)} if config.channels else settings


def make(config: MakeConfig, progress: Callable[[int, int], None] | None = None) -> MakeReport:
    """Write a set to ``config.out``: ``samples.jsonl``, ``scenes.jsonl``, ``set.json`` and ``clips/``.

    Side media that the clips do not hold are in ``depth/`` and ``views/``. The JSON files depend on nothing but track,
    count, seed, questions a clip and channels. All is written beside ``out`` and moved there at the end. ``progress``
    is called with the number of clips done and in all.

    Raises:
        InputError: If ``out`` exists and is a file or a folder that is not empty.
    """
    out = Path(config.out)
    check_empty(out)
    with whole_folder(out) as folder:
        report = _fill(folder, config, progress)
    logger.info("%d questions about %d clips in %s", report.questions, report.clips, out)
    return report


def check_empty(out: Path) -> None:
    """Refuse, with ``InputError``, an output folder that holds anything."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder; choose another --out or remove it first")


def _fill(folder: Path, config: MakeConfig, progress: Callable[[int, int], None] | None) -> MakeReport:
    (folder / "clips").mkdir()
    (folder / SET_FILE).write_text(json.dumps(recipe(config)) + "\n", encoding="utf-8")
    scenes, samples = _draw(config)
    with (folder / "scenes.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(_line({"clip": _clip(i), "scene": scene.to_dict()}) for i, scene in enumerate(scenes))
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(_line(sample) for sample in samples)
    jobs = [(folder, config, index, scene) for index, scene in enumerate(scenes)]
    for done, _ in enumerate(_in_parallel(jobs, config.workers), start=1):
        if progress is not None:
            progress(done, len(jobs))
    return MakeReport(
        samples=Path(config.out) / "samples.jsonl",
        questions=len(samples),
        clips=len(scenes),
        forms=dict(sorted(Counter(sample["form"] for sample in samples).items())),
        blind=float(np.mean([sample["blind"] for sample in samples])),
    )


def _draw(config: MakeConfig) -> tuple[list[Scene], list[dict[str, Any]]]:
    """Draw scenes one after the other, each from a stream of its own, until there are questions enough."""
    track = TRACKS[config.track]
    scenes: list[Scene] = []
    samples: list[dict[str, Any]] = []
    number = 0
    while len(samples) < config.count:
        rng = _stream(config, _SCENE_STREAM, number)
        scene = track.draw(rng)
        questions = track.ask(scene, rng)[: min(config.questions_per_clip, config.count - len(samples))]
        side = _side(scene, config, len(scenes))
        samples += [
            _sample(question, config, len(samples) + k, len(scenes), side) for k, question in enumerate(questions)
        ]
        if questions:
            scenes.append(scene)
        number += 1
    return scenes, samples


def _side(scene: Scene, config: MakeConfig, clip: int) -> dict[str, str | None]:
    files: dict[str, str | None] = {
        "audio": _clip(clip),
        "depth": _folder("depth", clip),
        "views": _folder("views", clip) if has_views(scene) else None,
        "frames": _clip(clip),
    }
    return {channel: files[channel] for channel in config.side}


def _sample(
    question: Question, config: MakeConfig, number: int, clip: int, side: dict[str, str | None]
) -> dict[str, Any]:
    return {
        "id": f"{config.track}-{config.seed}-{number:06d}",
        "video": _clip(clip),
        "side": side,
        "messages": [{"role": "user", "content": question.text}, {"role": "assistant", "content": question.answer}],
        "track": config.track,
        "form": question.form,
        "answer": question.answer,
        "blind": question.blind,
        "seed": config.seed,
    }


def _stream(config: MakeConfig, purpose: int, clip: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, list(TRACKS).index(config.track), purpose, clip])


def _clip(index: int) -> str:
    return f"clips/{index:06d}.mp4"


def _folder(channel: str, index: int) -> str:
    return f"{channel}/{index:06d}"


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _in_parallel(jobs: list[tuple[Path, MakeConfig, int, Scene]], workers: int) -> Iterator[None]:
    if workers == 1:
        yield from map(_film, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_film, jobs, chunksize=8)


def _film(job: tuple[Path, MakeConfig, int, Scene]) -> None:
    folder, config, index, scene = job
    write_film(scene, folder / _clip(index), config.film, _stream(config, _SOUND_STREAM, index))
    if "depth" in config.side:
        write_depth(scene, folder / _folder("depth", index), config.film)
    if "views" in config.side and has_views(scene):
        write_views(scene, folder / _folder("views", index), config.film)
