"""One call from a configuration to a patch folder."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments

from pave.checkpoint import locate_patch, read_spec
from pave.data.cache import MediaCache, fill_cache, fill_store
from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.stored import StoredVideos, open_store
from pave.errors import InputError
from pave.model import PaveModel
from pave.training.config import TrainConfig
from pave.training.facts import data_hash, loss_curve, trained_sizes, versions
from pave.training.plan import PlannedDataset, capped, epoch_size, sample_order
from pave.training.progress import ProgressCallback
from pave.training.run import Run
from pave.training.trainer import PaveTrainer
from pave.types import Sample

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with.

    Args:
        folder: The patch folder.
        steps: Optimiser steps, with those before an interruption.
        loss: Mean loss of the last entry of the loss curve.
        seconds: Time that this process took.
        resumed_from: Step at which an interrupted run was taken up again; ``None`` for a fresh one.
    """

    folder: Path
    steps: int
    loss: float
    seconds: float
    resumed_from: int | None


def train(
    config: TrainConfig, resume: Literal["auto", "never"] = "auto", callbacks: Sequence[TrainerCallback] = ()
) -> TrainResult:
    """Train a patch, or go on with an interrupted run, and write the patch folder.

    Until it is done, a run keeps its state in ``<out>.unfinished``; ``out`` appears whole, at the end.

    Args:
        config: The run.
        resume: ``auto`` goes on with an interrupted run of the same configuration; ``never`` refuses to.
        callbacks: Called by the trainer, as ``transformers.Trainer`` calls them.

    Raises:
        InputError: If anything in the configuration or the data cannot be used, ``out`` is not empty, or an
            interrupted run of another configuration is in its place.
    """
    started = time.monotonic()
    config = with_start(config)
    run = Run(config)
    checkpoint = run.check(resume == "auto")
    sources = [_read(source.path, config, source.cap) for source in config.data]
    arguments = _arguments(config, _steps(config, [len(samples) for samples in sources]), run.folder)
    model = build_model(config)
    reader = _reader(model, config)
    processor = PaveProcessor.from_model(model)
    model.to(arguments.device)
    dataset = _dataset(config, model, processor, reader, [sample for samples in sources for sample in samples])
    order = sample_order(
        [len(samples) for samples in sources],
        [source.weight for source in config.data],
        arguments.max_steps * _per_step(config),
        config.seed,
        [source.from_step * _per_step(config) for source in config.data],
    )
    if PartialState().is_main_process:
        run.begin()
        read = ", ".join(reader.channels) or "no channel"
        steps = arguments.max_steps
        logger.info("%d samples, %d steps of %d, side: %s", len(dataset), steps, _per_step(config), read)
    PartialState().wait_for_everyone()
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trainer = PaveTrainer(
        model,
        config.name,
        config.patch_lr,
        config.lora_lr,
        config.side_dropout,
        config.norm_lr,
        args=arguments,
        train_dataset=PlannedDataset(dataset, order),
        data_collator=processor.collator("right", reader.channels),
        callbacks=[ProgressCallback(), *callbacks],
    )
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except InputError as error:
        if PartialState().is_main_process:
            run.abandon()
        raise InputError(_own_words(error)) from error
    seconds = time.monotonic() - started
    curve = loss_curve(trainer.state.log_history)
    facts = _facts(config, model, reader, [len(samples) for samples in sources], arguments.max_steps, curve)
    trainer.write_patch(config.out, facts)
    if PartialState().is_main_process:
        run.end()
    PartialState().wait_for_everyone()
    resumed_from = int(checkpoint.name.rsplit("-", 1)[-1]) if checkpoint else None
    return TrainResult(config.out, trainer.state.global_step, curve[-1][1], seconds, resumed_from)


def with_start(config: TrainConfig) -> TrainConfig:
    """Return a configuration with the patch and the LoRA of the one that it starts from, if it does.

    Raises:
        InputError: If there is no such patch, or the configuration describes another.
    """
    if config.start is None:
        return config
    spec = read_spec(locate_patch(config.start))
    if config.patch is not None and config.patch != spec.patch:
        raise InputError(f"train: start {config.start!r} has a patch of its own; leave 'patch' out")
    return replace(config, patch=spec.patch, lora=spec.lora)


def build_model(config: TrainConfig) -> PaveModel:
    """Load the base of a run and add its patch: that which it starts from, or one initialised by the run's seed.

    Raises:
        InputError: If the base is unknown or the patch does not fit it.
    """
    model = PaveModel.from_base(config.base, config.revision, dtype=DTYPES[config.precision])
    if config.start is not None:
        model.load_patch(config.start, config.name, trainable=True)
        model.preprocessing[config.name] = config.preprocessing
        return model
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model.add_patch(config.name, config.patch, config.lora, config.preprocessing)
    return model


def _read(path: Path, config: TrainConfig, cap: int | None) -> list[Sample]:
    channels = [] if config.patch is None else [config.patch.channel]
    samples = read_samples(path, channels)
    for sample in samples:
        if sample.answer is None:
            raise InputError(f"{sample.source}: the conversation does not end with an answer; training needs one")
    for channel in channels:
        absent = sum(sample.side.get(channel) is None for sample in samples)
        if absent:
            logger.warning("%s: %d of %d samples name no file for channel %r", path, absent, len(samples), channel)
    return [samples[index] for index in capped(len(samples), cap, config.seed)]


def _reader(model: PaveModel, config: TrainConfig) -> SideReader:
    store = None if config.store is None else open_store(config.store, model)
    reader = SideReader.from_model(model, training=True, store=store)
    if config.patch is not None:
        width = getattr(reader.encoders[config.patch.channel], "width", None)
        if width is not None and width != config.patch.side_dim:
            raise InputError(
                f"train: patch.side_dim is {config.patch.side_dim}, but its encoder makes features of width {width}; "
                f"write side_dim: {width}"
            )
    return reader


def _dataset(
    config: TrainConfig, model: PaveModel, processor: PaveProcessor, reader: SideReader, samples: list[Sample]
) -> SampleDataset:
    dataset = SampleDataset(samples, processor, reader, answer=True)
    videos = None if reader.store is None else StoredVideos(reader.store, model, processor)
    if config.cache_video_tokens:
        dataset.cache = MediaCache()
        limit_gb = config.cache_limit_gb
        fill_cache(dataset.cache, model, processor, reader, samples, config.batch_size, limit_gb, videos)
    elif videos is not None:
        dataset.cache = fill_store(model, processor, reader, samples, config.batch_size, videos)
    if reader.store is not None:
        reader.store.close()
    return dataset


def _own_words(error: InputError) -> str:
    """Return the message without the traceback that a data loader's process puts around it."""
    return str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]


def _per_step(config: TrainConfig) -> int:
    return config.batch_size * config.gradient_accumulation * PartialState().num_processes


def _steps(config: TrainConfig, sizes: list[int]) -> int:
    steps = config.steps
    if steps is None:
        size = epoch_size(sizes, [source.weight for source in config.data])
        steps = max(1, math.ceil(config.epochs * size / _per_step(config)))
    for source in config.data:
        if source.from_step >= steps:
            raise InputError(
                f"data source {source.path}: from_step is {source.from_step}, but the run has {steps} steps; "
                "lower it or leave the source out"
            )
    return steps


def _arguments(config: TrainConfig, steps: int, folder: Path) -> TrainingArguments:
    try:
        return TrainingArguments(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation,
            learning_rate=config.patch_lr,
            lr_scheduler_type=config.scheduler,
            lr_scheduler_kwargs=_scheduler_settings(config, steps),
            warmup_steps=math.ceil(config.warmup * steps),
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
            seed=config.seed,
            use_cpu=PartialState().default_device.type == "cpu",
            bf16=config.precision == "bf16",
            fp16=config.precision == "fp16",
            save_strategy="steps",
            save_steps=config.save_every,
            logging_steps=min(config.log_every, steps),
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_num_workers=0 if config.cache_video_tokens else config.workers,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"train: precision {config.precision!r} cannot be used here ({reason})") from None


def _scheduler_settings(config: TrainConfig, steps: int) -> dict[str, Any] | None:
    if config.scheduler != "warmup_stable_decay":
        return None
    return {"num_decay_steps": math.ceil(config.decay * steps), "decay_type": "linear"}


def _facts(
    config: TrainConfig,
    model: PaveModel,
    reader: SideReader,
    used: list[int],
    steps: int,
    curve: list[tuple[int, float]],
) -> dict[str, Any]:
    silent = {channel: len(files) for channel, files in reader.silent.items()}
    return {
        "steps": steps,
        "samples_a_step": _per_step(config),
        "data": [
            {"path": str(source.path), "samples": count, "weight": source.weight, "sha256": data_hash(source.path)}
            for source, count in zip(config.data, used, strict=True)
        ],
        "trained_weights": trained_sizes(model, config.name),
        "learning_rates": {
            "patch": config.patch_lr,
            "norm": config.norm_lr or config.patch_lr,
            "lora": config.lora_lr,
        },
        "seed": config.seed,
        "precision": config.precision,
        **({"start": config.start} if config.start is not None else {}),
        "loss_first": curve[0][1],
        "loss_last": curve[-1][1],
        "versions": versions(),
        # Without a cache not every file was read, or in other processes.
        **({"files_without_channel": silent} if config.cache_video_tokens else {}),
    }
