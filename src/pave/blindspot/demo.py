"""The demonstration: fresh films, a base that misses what they hold, and the same base with patches that do not."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pave.blindspot.demo_films import film_of
from pave.blindspot.film import FilmFormat
from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.report import Chapter, Report, Score, render_report
from pave.blindspot.report_film import Answer, Film
from pave.blindspot.scene import Scene
from pave.blindspot.tracks import TRACKS
from pave.checkpoint import locate_patch, read_spec
from pave.config import read_json
from pave.data.cache import MediaCache
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.errors import InputError, nearest
from pave.evaluation.config import EvalSettings
from pave.evaluation.result import EvalResult
from pave.evaluation.run import evaluate
from pave.files import whole_folder
from pave.model import PaveModel
from pave.shipped import shipped_patches
from pave.training.facts import versions
from pave.types import Sample

MADE_BY = "pave demo"
RECORD_FILE = "demo.json"
REPORT_FILE = "report.html"
FILMS, QUIZ = "films", "quiz"
"""What a run leaves: its record, the page, and by track the films on the page and the set that is scored."""

FIRST_RANDOM_SEED = 10**6
"""Drawn seeds start here, so that none is one of the small numbers that people train with."""

QUESTIONS_A_FILM = 2

WORDS = {
    "hear": ("sound", "hears nothing"),
    "depth": ("distance and size", "measures nothing"),
    "views": ("what a wall hides", "looks from nowhere else"),
    "blink": ("flashes between the frames", "sees nothing between them"),
}
"""Of each track that is shown: what it is about, and what someone does who lacks its side channel."""


@dataclass(frozen=True)
class DemoConfig:
    """What to show.

    Args:
        out: Folder of the report and its films; replaced if an earlier run made it.
        track: The one track to show; ``None`` for that of ``patch``, or every track with a shipped patch.
        count: Questions of a track that the accuracies are over.
        films: Films of a track on the page.
        seed: Of films and questions; ``None`` draws one, which is recorded.
        patch: Shipped name, folder or hub id of a patch; ``None`` for the shipped one of each track.
        base: Base in place of the one that a patch records.
        workers: Processes that make films.

    Raises:
        InputError: On a value out of range, or an unknown track.
    """

    out: Path = Path("demo")
    track: str | None = None
    count: int = 200
    films: int = 4
    seed: int | None = None
    patch: str | None = None
    base: str | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("films", 1), ("workers", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"demo: {name} is {value}; it must be {least} or more")
        if self.track is not None and self.track not in WORDS:
            known = ", ".join(WORDS)
            raise InputError(f"demo: unknown track {self.track!r}; known: {known}{nearest(self.track, WORDS)}")


@dataclass(frozen=True)
class TrackResult:
    """What was found on one track: films of the page, and the scores of base and patched model."""

    patch: str
    films: Sequence[Film]
    base: EvalResult
    patched: EvalResult


@dataclass(frozen=True)
class DemoResult:
    """What was found, track by track, and where the page is."""

    report: Path
    seed: int
    tracks: Mapping[str, TrackResult]


def run_demo(config: DemoConfig) -> DemoResult:
    """Make films, ask both models, and write the page; the folder appears whole, at the end.

    Raises:
        InputError: If the folder holds something that no earlier run made, or base or patch cannot be used.
    """
    out = config.out.absolute()
    check_replaceable(out)
    patches = patches_by_track(config)
    seed = FIRST_RANDOM_SEED + secrets.randbelow(10**9) if config.seed is None else config.seed
    with whole_folder(out) as folder:
        tracks = {track: _show(folder, track, patch, config, seed) for track, patch in patches.items()}
        _write(folder, tracks, _command(config, seed), seed)
        return DemoResult(out / REPORT_FILE, seed, tracks)


def patches_by_track(config: DemoConfig) -> dict[str, str]:
    """Return the tracks to show, each with the patch that is asked.

    Raises:
        InputError: If there is no such patch, or it reads a channel that no track asks about.
    """
    if config.patch is not None:
        return {config.track or _track_of(config.patch): config.patch}
    shipped = shipped_patches()
    if config.track is None:
        return {track: track for track in WORDS if track in shipped}
    if config.track not in shipped:
        known = ", ".join(track for track in WORDS if track in shipped)
        raise InputError(f"demo: no patch for track {config.track!r} is shipped ({known} are); name one by --patch")
    return {config.track: config.track}


def _track_of(patch: str) -> str:
    spec = read_spec(locate_patch(patch))
    channels = () if spec.patch is None else (spec.patch.channel,)
    for track in WORDS:
        if TRACKS[track].channels == channels:
            return track
    read = f"channel {channels[0]!r}" if channels else "no side channel"
    raise InputError(f"demo: patch {patch!r} reads {read}, about which no track asks; name one by --track")


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


def _show(folder: Path, track: str, patch: str, config: DemoConfig, seed: int) -> TrackResult:
    model = PaveModel.from_pretrained(patch, config.base)
    large, count = FilmFormat(192, 144), QUESTIONS_A_FILM * config.films
    on_page = MakeConfig(track, count, seed + 1, folder / FILMS / track, config.workers, QUESTIONS_A_FILM, large)
    shown = _make(on_page, f"filming {track}")
    quiz = _make(MakeConfig(track, config.count, seed, folder / QUIZ / track, config.workers), f"filming {track} quiz")
    processor, reader, cache = PaveProcessor.from_model(model), SideReader.from_model(model), MediaCache()
    settings = EvalSettings(batch_size=32, cache_video_tokens=True)

    def ask(samples: list[Sample], base_only: bool) -> EvalResult:
        return evaluate(model, samples, settings, processor, reader, cache, base_only)

    answered = {base_only: ask(shown, base_only) for base_only in (True, False)}
    scored = {base_only: ask(quiz, base_only) for base_only in (True, False)}
    asked = _by_video(shown, answered)
    scenes = _scenes(on_page.out)
    films = [
        film_of(samples[0], scenes[video], answers, model, processor, cache)
        for video, (samples, answers) in list(asked.items())[: config.films]
    ]
    return TrackResult(patch, films, scored[True], scored[False])


def _write(folder: Path, tracks: Mapping[str, TrackResult], command: str, seed: int) -> None:
    chapters = [_chapter(track, result) for track, result in tracks.items()]
    page = render_report(Report(chapters, seed, command, versions()))
    (folder / REPORT_FILE).write_text(page, encoding="utf-8")
    record = {
        "made_by": MADE_BY,
        "seed": seed,
        "command": command,
        "tracks": {track: scores(result) for track, result in tracks.items()},
    }
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def scores(result: TrackResult) -> dict[str, object]:
    """Return what was found on a track as plain JSON types."""
    return {"patch": result.patch, "base": result.base.to_dict(), "patched": result.patched.to_dict()}


def _chapter(track: str, result: TrackResult) -> Chapter:
    about, without = WORDS[track]
    models = [_score("base", result.base.base, result.base), _score("patched", result.patch, result.patched)]
    return Chapter(track, about, without, result.films, models, result.base.chance, result.base.n)


def _make(config: MakeConfig, task: str) -> list[Sample]:
    with progress_bar("films") as bar:
        shown = bar.add_task(task, total=None, note="")
        report = make(config, lambda done, total: bar.update(shown, completed=done, total=total))
    return read_samples(report.samples)


def _by_video(
    samples: list[Sample], answered: Mapping[bool, EvalResult]
) -> dict[Path, tuple[list[Sample], list[Answer]]]:
    found: dict[Path, tuple[list[Sample], list[Answer]]] = {}
    for sample, base, patched in zip(samples, answered[True].responses, answered[False].responses, strict=True):
        assert sample.video is not None
        answer = Answer(
            sample.question, base.answer, base.prediction, base.correct, patched.prediction, patched.correct
        )
        of_video = found.setdefault(sample.video, ([], []))
        of_video[0].append(sample)
        of_video[1].append(answer)
    return found


def _scenes(folder: Path) -> dict[Path, Scene]:
    lines = (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    return {folder / entry["clip"]: Scene.from_dict(entry["scene"]) for entry in map(json.loads, lines)}


def _score(name: str, source: str, result: EvalResult) -> Score:
    by_form = {form: row["accuracy"] for form, row in result.by_form.items()}
    return Score(name, source, result.accuracy, result.interval, by_form)


def _command(config: DemoConfig, seed: int) -> str:
    usual = DemoConfig()
    options = [
        f"--{name} {shlex.quote(str(getattr(config, name)))}"
        for name in ("track", "count", "films", "patch", "base")
        if getattr(config, name) != getattr(usual, name)
    ]
    return " ".join(["pave demo", *options, f"--seed {seed}"])
