"""From a configuration to all that a run consists of, before it takes its first step."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainingArguments

from pave.checkpoint import locate_patch, read_spec
from pave.data.cache import MediaCache, fill_cache, fill_store
from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.stored import StoredVideos, open_store
from pave.errors import InputError
from pave.model import PaveModel
from pave.training.config import Source, TrainConfig
from pave.training.plan import PlannedDataset, capped, epoch_size, sample_order
from pave.training.progress import ProgressCallback
from pave.training.run import Run
from pave.training.trainer import PaveTrainer
from pave.types import Sample

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Built:
    """All that a run consists of, before it takes its first step.

    Args:
        trainer: What trains, with the model.
        reader: What makes the side channels.
        used: Samples of each data source.
    """

    trainer: PaveTrainer
    reader: SideReader
    used: list[int]


def build_run(config: TrainConfig, folder: Path) -> Built:
    """Load the base, put the patches on it, read the data, and make what trains.

    Args:
        config: The run, from :func:`with_start`.
        folder: Where its checkpoints are to go.

    Raises:
        InputError: If anything in the configuration or the data cannot be used.
    """
    sources = [_read(source, config) for source in config.data]
    _check_read(config, [sample for samples in sources for sample in samples])
    arguments = _arguments(config, count_steps(config, [len(samples) for samples in sources]), folder)
    model = build_model(config)
    reader = _reader(model, config)
    processor = PaveProcessor.from_model(model)
    _check_workers(config, reader, arguments.device)
    model.to(arguments.device)
    dataset = _dataset(config, model, processor, reader, [sample for samples in sources for sample in samples])
    order = sample_order(
        [len(samples) for samples in sources],
        [source.weight for source in config.data],
        arguments.max_steps * samples_a_step(config),
        config.seed,
        [source.from_step * samples_a_step(config) for source in config.data],
    )
    if PartialState().is_main_process:
        read = ", ".join(reader.channels) or "no channel"
        steps = arguments.max_steps
        logger.info("%d samples, %d steps of %d, side: %s", len(dataset), steps, samples_a_step(config), read)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable()
    trainer = PaveTrainer(
        model,
        list(config.parts),
        config.patch_lr,
        config.lora_lr,
        config.side_dropout,
        config.norm_lr,
        args=arguments,
        train_dataset=PlannedDataset(dataset, order),
        data_collator=processor.collator("right", reader.channels),
        callbacks=[ProgressCallback()],
    )
    return Built(trainer, reader, [len(samples) for samples in sources])


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
    """Load the base of a run and add its patches: that which it starts from, or fresh ones of the run's seed.

    Raises:
        InputError: If the base is unknown or the patch does not fit it.
    """
    model = PaveModel.from_base(config.base, config.revision, dtype=DTYPES[config.precision])
    if config.start is not None:
        ((name, (_, preprocessing)),) = config.parts.items()
        model.load_patch(config.start, name, trainable=True)
        model.preprocessing[name] = preprocessing
        return model
    lora = config.lora
    if config.patches is not None and lora is not None and lora.shared is None:
        lora = replace(lora, shared=Run(config).identity)
    # Weights are drawn on the CPU; by default a fork would wake every GPU that there is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for name, (patch, preprocessing) in config.parts.items():
            model.add_patch(name, patch, lora, preprocessing)
    return model


def _read(source: Source, config: TrainConfig) -> list[Sample]:
    channels = config.channels if source.channels is None else source.channels
    samples = read_samples(source.path, config.channels)
    for sample in samples:
        if sample.answer is None:
            raise InputError(f"{sample.source}: the conversation does not end with an answer; training needs one")
    for channel in channels:
        absent = sum(sample.side.get(channel) is None for sample in samples)
        if absent:
            # Of several patches, the data set of one seldom has the channels of the others.
            expected = absent == len(samples) and len(config.channels) > 1
            told = (source.path, absent, len(samples), channel)
            level = logging.INFO if expected else logging.WARNING
            logger.log(level, "%s: %d of %d samples name no file for channel %r", *told)
    lacking = sum(bool(sample.extra.get("missing")) for sample in samples)
    if lacking:
        logger.warning(
            "%s: %d of %d samples lack media and are learnt without them; prepare the data with --leave-out-missing",
            source.path,
            lacking,
            len(samples),
        )
    chosen = (samples[index] for index in capped(len(samples), source.cap, config.seed))
    return [replace(sample, side={name: sample.side.get(name) for name in channels}) for sample in chosen]


def _check_read(config: TrainConfig, samples: Iterable[Sample]) -> None:
    """Check that every patch has something to learn from; it acts on the tokens of a video."""
    found = {
        channel
        for sample in samples
        for channel, path in sample.side.items()
        if path is not None and sample.video is not None
    }
    for channel in config.channels:
        if channel not in found:
            raise InputError(
                f"train: no sample with a video names a file for channel {channel!r}; add a data set that has it"
            )


def _reader(model: PaveModel, config: TrainConfig) -> SideReader:
    store = None if config.store is None else open_store(config.store, model)
    reader = SideReader.from_model(model, training=True, store=store)
    reader.disturb(config.augmentation, config.seed, training=True)
    for patch, _ in config.parts.values():
        if patch is None:
            continue
        width = reader.encoders[patch.channel].width
        if width not in (None, patch.side_dim):
            raise InputError(
                f"train: patch.side_dim is {patch.side_dim}, but the encoder of channel {patch.channel!r} makes "
                f"features of width {width}; write side_dim: {width}"
            )
    return reader


def _check_workers(config: TrainConfig, reader: SideReader, device: torch.device) -> None:
    """Check that no data-loading process would need an accelerator; they are forked from one that uses it."""
    if config.workers == 0 or config.cache_video_tokens:
        return
    for channel, encoder in reader.encoders.items():
        if reader.store is not None and reader.is_stored(channel):
            continue
        if encoder.needs_tower and device.type != "cpu":
            raise InputError(
                f"train: channel {channel!r} is made by the base's tower on {device}, which data-loading processes "
                "cannot use; set workers: 0, cache_video_tokens: true or a store"
            )
        if encoder.device.type != "cpu":
            raise InputError(
                f"train: the encoder of channel {channel!r} runs on {encoder.device}, which data-loading processes "
                "cannot use; set workers: 0, cache_video_tokens: true, a store, or the encoder's device: cpu"
            )


def _dataset(
    config: TrainConfig, model: PaveModel, processor: PaveProcessor, reader: SideReader, samples: list[Sample]
) -> SampleDataset:
    dataset = SampleDataset(samples, processor, reader, answer=True)
    videos = None if reader.store is None else StoredVideos(reader.store, model, processor)
    if config.cache_video_tokens:
        dataset.cache = MediaCache()
        limit_gb = config.cache_limit_gb
        threads = config.workers
        fill_cache(dataset.cache, model, processor, reader, samples, config.batch_size, limit_gb, videos, threads)
    elif videos is not None:
        dataset.cache = fill_store(model, processor, reader, samples, config.batch_size, videos)
    if reader.store is not None:
        reader.store.close()
    return dataset


def samples_a_step(config: TrainConfig) -> int:
    """Return the samples that all processes together learn from in one step."""
    return config.batch_size * config.gradient_accumulation * PartialState().num_processes


def count_steps(config: TrainConfig, sizes: list[int]) -> int:
    """Return the steps of a run over data sources of these sizes.

    Raises:
        InputError: If a source would join after the last one.
    """
    steps = config.steps
    if steps is None:
        size = epoch_size(sizes, [source.weight for source in config.data])
        steps = max(1, math.ceil(config.epochs * size / samples_a_step(config)))
    for source in config.data:
        if source.from_step >= steps:
            raise InputError(
                f"data source {source.path}: from_step is {source.from_step}, but the run has {steps} steps; "
                "lower it or leave the source out"
            )
    return steps


def _arguments(config: TrainConfig, steps: int, folder: Path) -> TrainingArguments:
    try:
        arguments = TrainingArguments(
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
    _use_one_gpu(arguments)
    return arguments


def _use_one_gpu(arguments: TrainingArguments) -> None:
    """Keep one process on one GPU; the trainer would let threads share the batch among all that it sees."""
    if arguments.n_gpu > 1:
        logger.warning(
            "one process trains on one of %d GPUs; start it with 'accelerate launch' or 'torchrun' to use them all",
            arguments.n_gpu,
        )
        arguments._n_gpu = 1


def _scheduler_settings(config: TrainConfig, steps: int) -> dict[str, Any] | None:
    if config.scheduler != "warmup_stable_decay":
        return None
    return {"num_decay_steps": math.ceil(config.decay * steps), "decay_type": "linear"}
