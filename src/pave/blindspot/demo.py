"""The demonstration: fresh films, a base that cannot hear them, and the same base with a patch that can."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pave.blindspot.film import FilmFormat
from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.report import Answer, Film, Report, Score, render_report
from pave.blindspot.scene import Scene
from pave.config import read_json
from pave.data.cache import MediaCache
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.errors import InputError
from pave.evaluation.config import EvalSettings
from pave.evaluation.result import EvalResult
from pave.evaluation.run import evaluate
from pave.files import whole_folder
from pave.media.audio import read_audio
from pave.media.video import probe, sample_frames
from pave.model import PaveModel
from pave.training.facts import versions
from pave.types import Sample

TRACK = "hear"
MADE_BY = "pave demo"
RECORD_FILE = "demo.json"
REPORT_FILE = "report.html"
FILMS, QUIZ = "films", "quiz"
"""What a run leaves: its record, the page, the films on the page, and the set that the accuracies are over."""

FIRST_RANDOM_SEED = 10**6
"""Drawn seeds start here, so that none is one of the small numbers that people train with."""

QUESTIONS_A_FILM = 2
WAVE_RATE = 8000


@dataclass(frozen=True)
class DemoConfig:
    """What to show.

    Args:
        out: Folder of the report and its films; replaced if an earlier run made it.
        count: Questions that the accuracies are over.
        films: Films on the page.
        seed: Of films and questions; ``None`` draws one, which is recorded.
        patch: Shipped name, folder or hub id of a patch for the track.
        base: Base in place of the one that the patch records.
        workers: Processes that make films.

    Raises:
        InputError: On a value out of range.
    """

    out: Path = Path("demo")
    count: int = 200
    films: int = 4
    seed: int | None = None
    patch: str = TRACK
    base: str | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("films", 1), ("workers", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"demo: {name} is {value}; it must be {least} or more")


@dataclass(frozen=True)
class DemoResult:
    """What was found, and where the page is."""

    report: Path
    seed: int
    films: list[Film]
    base: EvalResult
    patched: EvalResult


def run_demo(config: DemoConfig) -> DemoResult:
    """Make films, ask both models, and write the page; the folder appears whole, at the end.

    Raises:
        InputError: If the folder holds something that no earlier run made, or base or patch cannot be used.
    """
    out = config.out.absolute()
    check_replaceable(out)
    seed = FIRST_RANDOM_SEED + secrets.randbelow(10**9) if config.seed is None else config.seed
    model = PaveModel.from_pretrained(config.patch, config.base)
    with whole_folder(out) as folder:
        return _fill(folder, out, model, config, seed)


def check_replaceable(out: Path) -> None:
    """Check that a folder is new, empty, or what an earlier run left: its record, and nothing that no run writes.

    Raises:
        InputError: If it is not.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out}: is a file; choose another --out")
    names = {path.name for path in out.iterdir()}
    foreign = sorted(names - {RECORD_FILE, REPORT_FILE, FILMS, QUIZ})
    if foreign or (names and not _is_record(out / RECORD_FILE)):
        held = foreign[0] if foreign else sorted(names)[0]
        raise InputError(
            f"{out}: holds {held!r}, but is not what an earlier demo left (with {RECORD_FILE}); choose another --out"
        )


def _is_record(path: Path) -> bool:
    try:
        return read_json(path).get("made_by") == MADE_BY
    except InputError:
        return False


def _fill(folder: Path, out: Path, model: PaveModel, config: DemoConfig, seed: int) -> DemoResult:
    large = FilmFormat(192, 144)
    count = QUESTIONS_A_FILM * config.films
    shown = _make(
        MakeConfig(TRACK, count, seed + 1, folder / FILMS, config.workers, QUESTIONS_A_FILM, large), "filming"
    )
    quiz = _make(MakeConfig(TRACK, config.count, seed, folder / QUIZ, config.workers), "filming the quiz")
    processor, reader, cache = PaveProcessor.from_model(model), SideReader.from_model(model), MediaCache()
    settings = EvalSettings(batch_size=32, cache_video_tokens=True)

    def ask(samples: list[Sample], base_only: bool) -> EvalResult:
        return evaluate(model, samples, settings, processor, reader, cache, base_only)

    answered = {base_only: ask(shown, base_only) for base_only in (True, False)}
    scored = {base_only: ask(quiz, base_only) for base_only in (True, False)}
    films = _films(folder / FILMS, shown, answered, model, processor, cache)[: config.films]
    page = Report(
        films=films,
        scores=[_score("base", model.record.name, scored[True]), _score("patched", config.patch, scored[False])],
        chance=scored[True].chance,
        count=config.count,
        seed=seed,
        command=_command(config, seed),
        versions=versions(),
    )
    (folder / REPORT_FILE).write_text(render_report(page), encoding="utf-8")
    record = {
        "made_by": MADE_BY,
        "seed": seed,
        "command": page.command,
        "base": scored[True].to_dict(),
        "patched": scored[False].to_dict(),
    }
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return DemoResult(out / REPORT_FILE, seed, films, scored[True], scored[False])


def _make(config: MakeConfig, task: str) -> list[Sample]:
    with progress_bar("films") as bar:
        shown = bar.add_task(task, total=None, note="")
        report = make(config, lambda done, total: bar.update(shown, completed=done, total=total))
    return read_samples(report.samples)


def _films(
    folder: Path,
    samples: list[Sample],
    answered: dict[bool, EvalResult],
    model: PaveModel,
    processor: PaveProcessor,
    cache: MediaCache,
) -> list[Film]:
    answers: dict[Path, list[Answer]] = {}
    for sample, base, patched in zip(samples, answered[True].responses, answered[False].responses, strict=True):
        assert sample.video is not None
        answer = Answer(
            sample.question, base.answer, base.prediction, base.correct, patched.prediction, patched.correct
        )
        answers.setdefault(sample.video, []).append(answer)
    lines = (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    scenes = {folder / entry["clip"]: Scene.from_dict(entry["scene"]) for entry in map(json.loads, lines)}
    return [_film(path, scenes[path], answers[path], model, processor, cache) for path in answers]


def _film(
    path: Path, scene: Scene, answers: list[Answer], model: PaveModel, processor: PaveProcessor, cache: MediaCache
) -> Film:
    sound = read_audio(path, WAVE_RATE)
    assert sound is not None
    frames = sample_frames(path, processor.frames)
    attention, side_times_sec = _attention(path, model, cache)
    return Film(
        file=path.read_bytes(),
        duration_sec=probe(path).duration_sec,
        pictures=frames.pixels,
        times_sec=frames.times_sec,
        wave=sound.samples,
        wave_rate=sound.sample_rate,
        sounds=[(event.onset_sec, event.kind) for event in scene.sounds],
        attention=attention,
        side_times_sec=side_times_sec,
        answers=answers,
    )


def _attention(path: Path, model: PaveModel, cache: MediaCache) -> tuple[Any, Any]:
    """Return how much each frame read from each side step (T,K), and the times of the side steps (K,)."""
    for patch in model.patches.values():
        side = cache.side[patch.config.channel, path]
        if side is None:
            continue
        _, video = cache.videos[path]
        queries = [video.queries(patch.config.query).to(model.device)]
        (weights,) = patch.attention_maps(queries, [side.to(model.device)], [video.times_sec], [video.grid])
        return weights.cpu().numpy(), side.times_sec.numpy()
    return None, None


def _score(name: str, source: str, result: EvalResult) -> Score:
    by_form = {form: row["accuracy"] for form, row in result.by_form.items()}
    return Score(name, source, result.accuracy, result.interval, by_form)


def _command(config: DemoConfig, seed: int) -> str:
    changed = {"count": 200, "films": 4, "patch": TRACK, "base": None}
    options = [
        f"--{name} {getattr(config, name)}" for name, usual in changed.items() if getattr(config, name) != usual
    ]
    return " ".join(["pave demo", *options, f"--seed {seed}"])
