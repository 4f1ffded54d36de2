"""A run without its length: everything is built, two steps are taken, nothing is left, and its cost is told."""

from __future__ import annotations

import copy
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.utils.data import Dataset
from transformers import PretrainedConfig

from pave.bases import family_of
from pave.bases.sizes import configuration_of
from pave.cost import meta_model
from pave.cost.training import StepCost, count_step
from pave.data.features import Features
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.model import PaveModel
from pave.training.build import DTYPES, build_run, count_steps, with_start
from pave.training.clock import Clock
from pave.training.config import PatchTask, Source, TrainConfig
from pave.training.dry_run_base import save_tiny_base, stand_in_processor, tiny_config
from pave.training.dry_run_media import BY_TOWER, make_batch, runs_on_films, write_data
from pave.training.facts import loss_curve
from pave.training.peak import measured_peak

STEPS = 2
_TINY_BATCH = 2


@dataclass(frozen=True)
class Rehearsal:
    """The two steps that were taken.

    Args:
        run: What was run, with stand-ins where there are any.
        rehearsed: Configuration of the base that ran.
        size: Configuration of the base that the run is for.
        steps: Steps of the whole run; ``None`` where its data would have to be counted and are not there.
        batch: The first batch.
        device: What it ran on.
        losses: Mean loss of each step.
        seconds: Time of the second one; the first still makes what later ones reuse.
        measured: Bytes that the device held at the peak, by its allocator.
        counted: What it should have held, by the count that tells the real size.
    """

    run: TrainConfig
    rehearsed: PretrainedConfig
    size: PretrainedConfig
    steps: int | None
    batch: dict[str, Any]
    device: torch.device
    losses: tuple[float, ...]
    seconds: float
    measured: int
    counted: StepCost


@dataclass(frozen=True)
class DryRun:
    """What a dry run found.

    Args:
        base: The base of the run.
        stand_in: Whether a tiny random base and made-up media stood in for base and data.
        rehearsal: The steps that were taken.
        kept: Cost of a step of the run in its real size on one device, activations kept.
        recomputed: The same with gradient checkpointing.
        checkpointing: Which of them the configuration asks for.
        processes: Processes that train together.
        batch_size: Samples in a pass.
        passes: Passes in a step, on one device.
        steps: Steps of the run; ``None`` where its data would have to be counted and are not there.
        flops_per_sec: Operations a second that the time is reckoned with; ``None`` where a step was measured.
        seconds_a_step: Time of a step.
    """

    base: str
    stand_in: bool
    rehearsal: Rehearsal
    kept: StepCost
    recomputed: StepCost
    checkpointing: bool
    processes: int
    batch_size: int
    passes: int
    steps: int | None
    flops_per_sec: float | None
    seconds_a_step: float

    @property
    def cost(self) -> StepCost:
        """Cost of a pass as the configuration has it."""
        return self.recomputed if self.checkpointing else self.kept

    @property
    def buckets(self) -> int:
        """Bytes of the copies of gradients that processes exchange."""
        return self.cost.trained if self.processes > 1 else 0

    @property
    def memory(self) -> int:
        """Bytes that a device holds at the peak."""
        return self.cost.total + self.buckets

    @property
    def seconds(self) -> float | None:
        """Time of the whole run, without reading what encoders make once."""
        return None if self.steps is None else self.steps * self.seconds_a_step


def dry_run(config: TrainConfig, tiny: bool = False, flops_per_sec: float | None = None) -> DryRun:
    """Take two steps of a run the way :func:`pave.training.train.train` does, and tell what the whole would cost.

    Nothing is written but to a temporary folder. Video tokens and side channels are computed, not cached or stored.

    Args:
        config: The run.
        tiny: Let a tiny random base of the same family, and made-up media, stand in for base and data.
        flops_per_sec: Operations a second of the device to reckon with. By default the second step is taken as
            measured; with ``tiny``, a large matrix product on this machine.

    Raises:
        InputError: If anything in the configuration or the data cannot be used, or the family has no stand-in.
    """
    config = with_start(config)
    rehearsal = rehearse(config, tiny)
    batch = rehearsal.batch
    if tiny:
        batch = _batch_of_real_size(config, rehearsal.size)
    on_accelerator = tiny or rehearsal.device.type != "cpu"
    kept, recomputed = (_count(config, rehearsal.size, batch, again, on_accelerator) for again in (False, True))
    if tiny and flops_per_sec is None:
        flops_per_sec = machine_rate(rehearsal.device, DTYPES[config.precision])
    seconds = rehearsal.seconds * config.gradient_accumulation / rehearsal.run.gradient_accumulation
    if flops_per_sec is not None:
        flops = recomputed.flops if config.gradient_checkpointing else kept.flops
        seconds = flops * config.gradient_accumulation / flops_per_sec
    return DryRun(
        base=config.base,
        stand_in=tiny,
        rehearsal=rehearsal,
        kept=kept,
        recomputed=recomputed,
        checkpointing=config.gradient_checkpointing,
        processes=PartialState().num_processes,
        batch_size=config.batch_size,
        passes=config.gradient_accumulation,
        steps=rehearsal.steps,
        flops_per_sec=flops_per_sec,
        seconds_a_step=seconds,
    )


class _Read(Dataset[Features]):
    """Samples that were read already: on a CPU, what reading media takes would be measured with the steps.

    Args:
        samples: A data set.
        count: How many to hand out, the same again where it holds fewer.
    """

    def __init__(self, samples: Any, count: int) -> None:
        self._samples = [samples[index] for index in range(min(len(samples), count))]
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Features:
        """Return a copy, which takes memory of its own."""
        return copy.deepcopy(self._samples[index % len(self._samples)])


def shortened(config: TrainConfig) -> TrainConfig:
    """Return a run of two steps that meets all of its data sources and keeps nothing."""
    return replace(
        config,
        data=tuple(replace(source, from_step=0) for source in config.data),
        steps=STEPS,
        gradient_accumulation=min(2, config.gradient_accumulation),
        cache_video_tokens=False,
        store=None,
        # What the run has beforehand is made here, by the process that may use an accelerator.
        workers=0 if config.cache_video_tokens or config.store is not None else config.workers,
        save_every=STEPS,
        log_every=1,
    )


def stood_in(config: TrainConfig, model_type: str, folder: Path) -> TrainConfig:
    """Return a run whose base and data are made up, in a folder; batches are small and read by the process itself.

    Raises:
        InputError: If the family has no stand-in, or nothing is known of the encoder's steps.
    """
    base = save_tiny_base(model_type, folder / "base", config.seed)
    readers = config.readers
    data = write_data(folder / "data", list(readers.values()), config.seed)
    tasks = {name: _stood_in_task(task, model_type) for name, task in readers.items()}
    config = replace(
        config,
        base=str(base),
        revision=None,
        start=None,
        data=(Source(data),),
        batch_size=min(_TINY_BATCH, config.batch_size),
        workers=0,
    )
    if config.patches is not None:
        return replace(config, patches=tasks)
    if not tasks:
        return config
    (task,) = tasks.values()
    return replace(config, patch=task.patch, preprocessing=replace(config.preprocessing, encoder=task.encoder))


def _stood_in_task(task: PatchTask, model_type: str) -> PatchTask:
    """Return a patch as wide as a tiny base, with an encoder that runs on made-up media, or reads made-up features."""
    encoder, patch = task.encoder, replace(task.patch, query_dim=0, token_dim=0)
    if not runs_on_films(encoder):
        encoder = {"type": "precomputed", "width": patch.side_dim}
    elif encoder["type"] in BY_TOWER:
        width = tiny_config(model_type).vision_config.hidden_size + encoder.get("identity", 0)
        patch = replace(patch, side_dim=width)
    return PatchTask(patch, encoder)


def machine_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Return the operations a second of large matrix products on a device, the best of those tried in some seconds."""
    side = 4096 if device.type == "cuda" else 1024
    factor = torch.ones(side, side, device=device, dtype=dtype)
    best, started = 0.0, time.monotonic()
    while best == 0 or time.monotonic() - started < seconds:
        before = time.perf_counter()
        torch.matmul(factor, factor)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - before))
    return best


def rehearse(config: TrainConfig, tiny: bool = False) -> Rehearsal:
    """Take two steps of a run; arguments and errors are those of :func:`dry_run`.

    Raises:
        InputError: As :func:`dry_run`.
    """
    with tempfile.TemporaryDirectory(prefix="pave-dry-run-") as name:
        folder = Path(name)
        size = configuration_of(config.base) if tiny else None
        run = shortened(config)
        if size is not None:
            for task in config.readers.values():
                check_side_width(config.base, task, size)
            run = stood_in(run, size.model_type, folder)
        built = build_run(replace(run, out=folder / "out"), folder / "run")
        trainer, model = built.trainer, built.trainer.model
        held = sum(weight.numel() * weight.element_size() for weight in (*model.parameters(), *model.buffers()))
        clock = Clock()
        trainer.add_callback(clock)
        if tiny:
            # A long run has always a next step to fetch for.
            wanted = (STEPS + 1) * run.batch_size * run.gradient_accumulation
            trainer.train_dataset = _Read(trainer.train_dataset, wanted)
        batch = trainer.data_collator([trainer.train_dataset[index] for index in range(run.batch_size)])
        with measured_peak(model.device) as peak:
            trainer.train()
        return Rehearsal(
            run=run,
            rehearsed=model.base.config,
            size=size or model.base.config,
            steps=config.steps if tiny else count_steps(config, built.used),
            batch=batch,
            device=model.device,
            losses=tuple(loss for _, loss in loss_curve(trainer.state.log_history)),
            seconds=clock.seconds[-1],
            measured=held + peak.extra,
            counted=_count(run, model.base.config, batch, run.gradient_checkpointing, model.device.type != "cpu"),
        )


def _batch_of_real_size(config: TrainConfig, size: PretrainedConfig) -> dict[str, Any]:
    model, prepared = _without_weights(size, config), config.preprocessing
    processor = PaveProcessor(stand_in_processor(size), model.family, model.layout, prepared.frames, prepared.preset)
    return make_batch(processor, list(config.readers.values()), config.batch_size)


def _count(
    config: TrainConfig, size: PretrainedConfig, batch: dict[str, Any], again: bool, on_accelerator: bool
) -> StepCost:
    """Cost of a pass; ``again`` computes activations twice."""
    model = _without_weights(size, config)
    return count_step(model, batch, DTYPES[config.precision], again, config.gradient_accumulation, on_accelerator)


def check_side_width(base: str, task: PatchTask, size: PretrainedConfig) -> None:
    """Check that a patch that reads through the base's own tower has the width of that tower.

    Args:
        base: Name of the base.
        task: The patch and its encoder.
        size: Configuration of the base.

    Raises:
        InputError: If it has another.
    """
    patch, encoder = task.patch, task.encoder
    if encoder.get("type") not in BY_TOWER or encoder.get("model") is not None:
        return
    width = family_of(size).vision_dim + encoder.get("identity", 0)
    if width != patch.side_dim:
        raise InputError(
            f"train: channel {patch.channel!r}: patch.side_dim is {patch.side_dim}, but the tower of {base} makes "
            f"features of width {width}; write side_dim: {width}"
        )


def _without_weights(size: PretrainedConfig, config: TrainConfig) -> PaveModel:
    """The model of a run on the meta device."""
    model = meta_model(size, config.base)
    model.base.to(DTYPES[config.precision])
    lora = config.lora
    if config.patches is not None and lora is not None:
        lora = replace(lora, shared="together")
    with torch.device("meta"):
        for name, (patch, _) in config.parts.items():
            model.add_patch(name, patch, lora)
    return model
