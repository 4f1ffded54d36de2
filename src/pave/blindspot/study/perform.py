"""Performs one run: trains it, asks its model, counts what an answer costs, and writes the result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from pave.blindspot.study.answer_cost import count_answer
from pave.blindspot.study.changes import altered_media, altered_samples
from pave.blindspot.study.places import Places, Training
from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Evaluation, Run
from pave.checkpoint import read_spec
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.evaluation.asking import Asker
from pave.evaluation.config import EvalConfig
from pave.evaluation.folder import ResultFolder
from pave.evaluation.questions import Questions, read_questions
from pave.evaluation.result import EvalResult
from pave.evaluation.run import answer_and_score, asker_for, channels_of, load_model, scoring_for, settled
from pave.model import PaveModel
from pave.training.clock import Clock
from pave.training.facts import versions
from pave.training.train import train

LOCK_FILE = ".lock"

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def perform(run: Run, needed: Mapping[str, Run], places: Places, results: Results, tell: Tell) -> None:
    """Perform a run, going on where an earlier try stopped, and write its result.

    Args:
        run: The run.
        needed: The runs whose patches it uses, which are trained if they were not.
        places: Where work is kept; the sets are there.
        results: Where its result is written.
        tell: Told of progress.

    Raises:
        InputError: If its configuration, or what an earlier try left, cannot be used.
    """
    started = time.monotonic()
    training = None if run.train is None else places.training(run.train)
    if training is not None:
        _train(training, "training", tell)
    known = {name: places.training(other.train) for name, other in needed.items() if other.train is not None}
    for name, other in known.items():
        _train(other, f"training {name}", tell)
    models: dict[tuple[str, ...], PaveModel] = {}
    scores: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    for number, evaluation in enumerate(run.evaluate):
        tell(f"asking {evaluation.name}", number, len(run.evaluate))
        config = _config(run, evaluation, patches_of(evaluation, training, known), places)
        if config.patches not in models:
            models[config.patches] = load_model(config)
        model = models[config.patches]
        result, asker, samples = _ask(model, evaluation, config)
        scores[evaluation.name] = scores_of(result)
        cost = cost or {
            "of": evaluation.name,
            **asdict(count_answer(asker, samples)),
            "trained_weights": trained_sizes(model),
        }
    results.write(
        run,
        {
            "trained": None if training is None else _facts(training),
            "scores": scores,
            "cost": cost,
            "versions": versions(),
            "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads()},
            "seconds": round(time.monotonic() - started, 1),
        },
    )


def _train(training: Training, what: str, tell: Tell) -> None:
    """Train, unless it was done before; another study that does the same is waited for."""
    training.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(training.folder / LOCK_FILE):
        training.check()
        if training.is_done:
            return
        training.begin()
        clock = Clock(lambda done, total: tell(what, done, total))
        result = train(training.config, callbacks=[clock])
        facts = {"steps": result.steps, "loss": result.loss, "seconds_a_step": clock.seconds_a_step}
        training.end({**facts, "resumed_from": result.resumed_from})


def patches_of(evaluation: Evaluation, training: Training | None, known: Mapping[str, Training]) -> list[Path]:
    """Return the patch folders that act in an evaluation: the run's own, or those of the runs that it names.

    Raises:
        InputError: If there is none of that name.
    """
    if evaluation.patches is None:
        return [] if training is None else training.patches
    found = []
    for named in evaluation.patches:
        name, _, part = named.partition("/")
        found += [known[name].patch(part)] if part else known[name].patches
    return found


def _config(run: Run, evaluation: Evaluation, patches: Sequence[Path], places: Places) -> EvalConfig:
    return EvalConfig(
        data=(places.film_set(evaluation.set),),
        base=run.base,
        patches=tuple(map(str, patches)),
        out=places.answers(run, evaluation, list(patches)),
        frames=None if patches else run.frames,
        settings=evaluation.asking(places.features),
    )


def _ask(model: PaveModel, evaluation: Evaluation, config: EvalConfig) -> tuple[EvalResult, Asker, Sequence[Any]]:
    questions = read_questions(config, channels_of(config.patches))
    samples = altered_samples(questions.samples, evaluation.without)
    scoring = scoring_for(config, questions)
    asker = asker_for(model, settled(config.settings, scoring), PaveProcessor.from_model(model, config.frames))
    assert asker.media is not None and config.out is not None
    altered = replace(asker, media=altered_media(asker.media, evaluation, samples, config.settings.seed))
    variant = {"side": evaluation.side, "without": list(evaluation.without)} if evaluation.is_altered else None
    asked = Questions(samples, questions.unreferenced)
    result = answer_and_score(altered, asked, scoring, config, ResultFolder(config.out), (1, 1), variant)
    if result is None:
        raise InputError(f"{config.out}: answers of other processes lack; remove that folder")
    return result, asker, samples


def scores_of(result: EvalResult) -> dict[str, Any]:
    """Return what a result file keeps of an evaluation; ``correct`` and ``clips`` have one entry an answer."""
    plain = result.to_dict()
    names = ("accuracy", "interval", "n", "skipped", "skipped_reasons", "missing", "empty", "chance", "absent", "seed")
    clips = {clip: number for number, clip in enumerate(dict.fromkeys(row.cluster for row in result.responses))}
    return {
        **{name: plain[name] for name in names},
        "by_form": {form: {"accuracy": row["accuracy"], "n": row["n"]} for form, row in plain["by_form"].items()},
        "correct": "".join(str(int(row.correct)) for row in result.responses),
        "clips": [clips[row.cluster] for row in result.responses],
    }


def _facts(training: Training) -> dict[str, Any]:
    making = read_spec(training.patches[0]).training
    facts = {name: value for name, value in training.facts.items() if name != "config"}
    kept = ("samples_a_step", "loss_first", "loss_last", "files_without_channel", "trained_weights")
    used = [{name: source[name] for name in ("samples", "sha256")} for source in making.get("data", ())]
    return json.loads(json.dumps({**facts, **{name: making.get(name) for name in kept}, "data": used}))


def trained_sizes(model: PaveModel) -> dict[str, int]:
    """Return the trained weights of a model's patches and LoRAs; those that several share count once."""
    parts = {
        "patch": [weight for patch in model.patches.values() for weight in patch.parameters()],
        "lora": [weight for name in model.lora.specs for weight in model.lora.parameters(name)],
    }
    return {part: sum({id(weight): weight.numel() for weight in found}.values()) for part, found in parts.items()}
