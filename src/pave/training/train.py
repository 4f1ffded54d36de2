"""One call from a configuration to patch folders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelerate import PartialState
from transformers import TrainerCallback

from pave.card import CONFIGURATION
from pave.data.side import SideReader
from pave.errors import InputError
from pave.processes import processes
from pave.training.build import build_run, samples_a_step, with_start
from pave.training.config import TrainConfig
from pave.training.facts import configuration_of, data_hash, loss_curve, trained_sizes, versions
from pave.training.run import Run


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with.

    Args:
        folder: What the configuration calls ``out``.
        patches: The patch folders: ``out`` itself, or one for each of several patches in it.
        steps: Optimiser steps, with those before an interruption.
        loss: Mean loss of the last entry of the loss curve.
        seconds: Time that this process took.
        resumed_from: Step at which an interrupted run was taken up again; ``None`` for a fresh one.
    """

    folder: Path
    patches: tuple[Path, ...]
    steps: int
    loss: float
    seconds: float
    resumed_from: int | None


def train(
    config: TrainConfig, resume: Literal["auto", "never"] = "auto", callbacks: Sequence[TrainerCallback] = ()
) -> TrainResult:
    """Train a patch, or several together, or go on with an interrupted run, and write the patch folders.

    Until it is done, a run keeps its state in ``<out>.unfinished``; ``out`` appears whole, at the end.

    Args:
        config: The run.
        resume: ``auto`` goes on with an interrupted run of the same configuration; ``never`` refuses to.
        callbacks: Called by the trainer, as ``transformers.Trainer`` calls them.

    Raises:
        InputError: If anything in the configuration or the data cannot be used, ``out`` is not empty, another training
            is writing there, or an interrupted run of another configuration is in its place.
        FloatingPointError: If the loss or a trained weight becomes NaN or infinite.
    """
    run = Run(with_start(config))
    with run.writing() if processes().is_main_process else nullcontext():
        return _train(run, resume, callbacks)


def _train(run: Run, resume: Literal["auto", "never"], callbacks: Sequence[TrainerCallback]) -> TrainResult:
    started = time.monotonic()
    config = run.config
    checkpoint = run.check(resume == "auto")
    built = build_run(config, run.folder)
    trainer = built.trainer
    for callback in callbacks:
        trainer.add_callback(callback)
    if PartialState().is_main_process:
        run.begin()
    PartialState().wait_for_everyone()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except InputError as error:
        if PartialState().is_main_process:
            run.abandon()
        raise InputError(_own_words(error)) from error
    except FloatingPointError:
        if PartialState().is_main_process:
            run.abandon()
        raise
    seconds = time.monotonic() - started
    curve = loss_curve(trainer.state.log_history)
    facts = _facts(config, built.reader, built.used, trainer.args.max_steps, curve)
    for name in config.parts:
        sizes = trained_sizes(trainer.model, name)
        trainer.write_patch(name, run.result / config.folder(name), {**facts, "trained_weights": sizes})
    # Sharded weights are gathered by all processes, and written by the first one.
    PartialState().wait_for_everyone()
    if PartialState().is_main_process:
        run.end()
    PartialState().wait_for_everyone()
    resumed_from = int(checkpoint.name.rsplit("-", 1)[-1]) if checkpoint else None
    folders = tuple(config.out / config.folder(name) for name in config.parts)
    return TrainResult(config.out, folders, trainer.state.global_step, curve[-1][1], seconds, resumed_from)


def _own_words(error: InputError) -> str:
    """Return the message without the traceback that a data loader's process puts around it."""
    return str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]


def _facts(
    config: TrainConfig,
    reader: SideReader,
    used: list[int],
    steps: int,
    curve: list[tuple[int, float]],
) -> dict[str, Any]:
    silent = {channel: len(files) for channel, files in reader.silent.items()}
    return {
        "steps": steps,
        "samples_a_step": samples_a_step(config),
        "data": [
            {"path": str(source.path), "samples": count, "sha256": data_hash(source.path)}
            for source, count in zip(config.data, used, strict=True)
        ],
        **({"trained_together": list(config.patches)} if config.patches is not None else {}),
        "loss_first": curve[0][1],
        "loss_last": curve[-1][1],
        "versions": versions(),
        # Without a cache not every file was read, or in other processes.
        **({"files_without_channel": silent} if config.cache_video_tokens else {}),
        CONFIGURATION: configuration_of(config),
    }
