"""Trains the tiny base from scratch, on the CPU, from one seed, and writes its folder with a card."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from pave.blindspot.base_card import write_card
from pave.blindspot.generate import MakeConfig, check_empty, make
from pave.blindspot.learning import (
    Batch,
    accuracy_by_form,
    answer_loss,
    collate,
    optimizer_and_schedule,
    set_gradients,
)
from pave.blindspot.lessons import Lesson, VideoShape, make_lessons
from pave.blindspot.measure import Measurement, measure_base
from pave.blindspot.sight import train_sight
from pave.blindspot.stills import make_stills
from pave.blindspot.tiny_base import DEFAULT_FAMILY, FRAME_COUNT, FRAME_SIZE, Architecture, architecture
from pave.errors import InputError
from pave.files import whole_folder

logger = logging.getLogger(__name__)

_COUNTS = ("sight_steps", "still_count", "steps", "film_count", "text_count", "workers", "test_questions", "log_every")


@dataclass(frozen=True)
class BaseConfig:
    """How a tiny base is trained; the recipe is one for all families.

    First it learns to see from single frames; then all of it learns from films with their questions and from
    scenes told in words. ``*_count`` of each are drawn beforehand; ``stills_per_step`` is meant for each frame that a
    base merges into one. At the end it is asked ``test_questions`` fresh
    questions of ``see`` and as many of ``hear``, on real films.
    """

    out: Path
    seed: int = 0
    family: str = DEFAULT_FAMILY
    sight_steps: int = 1600
    still_count: int = 30000
    stills_per_step: int = 192
    sight_learning_rate: float = 2e-3
    steps: int = 4400
    film_count: int = 16000
    text_count: int = 6000
    films_per_step: int = 12
    texts_per_step: int = 6
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 150
    workers: int = 2
    test_questions: int = 1000
    log_every: int = 100

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; write 1 or more")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; write 0 or more")
        architecture(self.family)


@dataclass(frozen=True)
class BaseReport:
    """What the trained base answers on fresh films, track by track, its class, its weights, and the time it took."""

    out: Path
    model_class: str
    weights: int
    seconds: float
    tracks: dict[str, Measurement]


def train_base(config: BaseConfig) -> BaseReport:
    """Train, measure, and write the base's folder to ``config.out``, all or nothing.

    Raises:
        InputError: If ``out`` exists and is a file or a folder that is not empty.
    """
    out = Path(config.out)
    check_empty(out)
    with whole_folder(out) as folder:
        started = time.monotonic()
        model = _trained(config)
        seconds = time.monotonic() - started
        model.save_pretrained(folder)
        architecture(config.family).processor().save_pretrained(folder)
        tracks = {track: _measured(folder, track, config) for track in ("see", "hear")}
        weights = sum(p.numel() for p in model.parameters())
        report = BaseReport(out, type(model).__name__, weights, seconds, tracks)
        write_card(folder, config, report)
        for file in folder.iterdir():
            file.chmod(0o644)
    return report


def video_shape(made: Architecture) -> VideoShape:
    """Return how the base of an architecture sees a film."""
    return VideoShape(FRAME_COUNT, FRAME_SIZE, tuple(made.film.tokens.tolist()))


def _trained(config: BaseConfig) -> PreTrainedModel:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = architecture(config.family)
    model = made.model(config.seed).train()
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        train_sight(
            made,
            model,
            make_stills(config.still_count, config.seed, FRAME_SIZE, config.workers),
            steps=config.sight_steps,
            stills_per_step=config.stills_per_step,
            learning_rate=config.sight_learning_rate,
            seed=config.seed,
            pool=pool,
        )
        _train_all(made, model, config, pool)
    torch.set_num_threads(threads)
    return model.eval()


def _train_all(made: Architecture, model: PreTrainedModel, config: BaseConfig, pool: ThreadPoolExecutor) -> None:
    shape = video_shape(made)
    counts = {"film": config.film_count, "text": config.text_count}
    lessons = {kind: make_lessons(kind, n, config.seed, shape, config.workers) for kind, n in counts.items()}
    fresh = {kind: make_lessons(kind, 128, config.seed + 1, shape, config.workers) for kind in counts}
    # The projector stays as it is: video tokens would outgrow the words, and what a patch adds would not show in them.
    tower = made.tower_weights(model.model)
    rest = list(model.model.language_model.parameters())
    optimizer, schedule = optimizer_and_schedule(
        [(tower, 0.2 * config.learning_rate), (rest, config.learning_rate)],
        config.steps,
        warmup=config.warmup_steps,
        weight_decay=config.weight_decay,
    )
    losses: list[float] = []
    for step, halves in enumerate(_batches(lessons, config), start=1):
        count = sum(int((part.targets != -100).sum()) for half in halves for part in half)
        shares = [lambda h=half, n=count: sum(answer_loss(made, model, part) for part in h) / n for half in halves]
        losses.append(set_gradients(shares, [*tower, *rest], pool))
        optimizer.step()
        schedule.step()
        if step % config.log_every == 0:
            logger.info("step %d of %d: loss %.3f", step, config.steps, np.mean(losses[-config.log_every :]))
        if step % (5 * config.log_every) == 0:
            for kind, of_kind in fresh.items():
                _log_accuracy(kind, accuracy_by_form(made, model, of_kind))


def _log_accuracy(kind: str, by_form: dict[str, float]) -> None:
    logger.info("  %s: %s", kind, " ".join(f"{form} {value:.2f}" for form, value in sorted(by_form.items())))


def _measured(folder: Path, track: str, config: BaseConfig) -> Measurement:
    with tempfile.TemporaryDirectory() as scratch:
        # Two seeds on: the first two are those of the lessons and of the accuracy in the log.
        films = MakeConfig(track, config.test_questions, config.seed + 2, Path(scratch) / "set", config.workers)
        measured = measure_base(folder, make(films).samples)
    logger.info("%s: %.3f right of %d, blind %.3f", track, measured.accuracy, measured.questions, measured.blind)
    return measured


def _batches(lessons: dict[str, list[Lesson]], config: BaseConfig) -> Iterator[list[list[Batch]]]:
    """Yield each step's lessons in two halves that are computed at the same time, each of films and texts."""
    rng = np.random.default_rng([config.seed, 2])
    orders = {kind: _endless(len(of_kind), rng) for kind, of_kind in lessons.items()}
    for _ in range(config.steps):
        chosen = {"film": config.films_per_step, "text": config.texts_per_step}
        drawn = {kind: [lessons[kind][next(orders[kind])] for _ in range(n)] for kind, n in chosen.items()}
        halves = [[of_kind[part::2] for of_kind in drawn.values()] for part in (0, 1)]
        yield [[collate(some, rng) for some in half if some] for half in halves]


def _endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (int(index) for index in rng.permutation(count))
