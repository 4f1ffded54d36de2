"""Everything that decides a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pave.config import LoraSpec, PatchConfig, Preprocessing, check_choices
from pave.data.disturbance import Disturbance
from pave.errors import InputError


@dataclass(frozen=True)
class Source:
    """One data set of a training mix.

    Args:
        path: The ``.jsonl`` file, or a folder that holds ``samples.jsonl``.
        cap: Use at most so many samples, chosen by the seed; ``None`` for all.
        weight: How often an epoch holds each of them; the fraction is a chance, drawn anew each epoch.
        from_step: Steps of the run before it is drawn from: what must not be lost may wait until the rest is learned.
        make: Settings of ``pave blindspot make``, with which ``pave train`` writes the set if it is not there yet.
        channels: Side channels that are read of its samples, in place of all that the run's patches read.
    """

    path: Path
    cap: int | None = None
    weight: float = 1.0
    from_step: int = 0
    make: dict[str, Any] | None = None
    channels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise InputError(f"data source {self.path}: cap is {self.cap}; it must be at least 1")
        if not 0 < self.weight < float("inf"):
            raise InputError(f"data source {self.path}: weight is {self.weight}; it must be above 0")
        if self.from_step < 0:
            raise InputError(f"data source {self.path}: from_step is {self.from_step}; it must be 0 or more")


@dataclass(frozen=True)
class PatchTask:
    """One of several patches that a run trains together.

    Args:
        patch: The fusion module.
        encoder: Settings of the encoder of its channel, with its name under ``type``.
    """

    patch: PatchConfig
    encoder: dict[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    """A training run; defaults suit a base of 7 B weights on one accelerator.

    Args:
        base: A shipped name, a folder or a hub id.
        out: Where the patch folder is written at the end; with ``patches``, a folder of patch folders.
        data: Data sets.
        preprocessing: How media become inputs: frames of a video, encoder of the channel.
        patch: The fusion module; ``None`` for a LoRA alone, the control that never reads a channel.
        patches: In place of ``patch``: several patches by name, each with the encoder of its channel. They are trained
            together and share the LoRA; each acts on the samples that have its channel.
        lora: The LoRA on the language model; ``None`` for none.
        start: A patch whose training goes on, by shipped name, folder or hub id; ``patch`` and ``lora`` are then its.
        revision: Commit, tag or branch of the base on the hub.
        steps: Optimiser steps; ``None`` to count in epochs.
        epochs: Passes over the data, where ``steps`` is ``None``.
        batch_size: Samples in one forward pass on one device.
        gradient_accumulation: Forward passes in one step.
        patch_lr: Peak learning rate of the patch.
        norm_lr: Peak learning rate of the patch's final norm, which starts at 0 and must grow to the size of the video
            tokens; by default ``patch_lr``.
        lora_lr: Peak learning rate of the LoRA.
        warmup: Share of the steps in which the learning rates rise from 0.
        scheduler: Course of the learning rates afterwards.
        decay: Share of the steps in which ``warmup_stable_decay`` lets the learning rates fall to 0, in a line.
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: Gradients are scaled down to this norm.
        seed: Of initial weights, order of samples and dropout.
        precision: Of the base, and of arithmetic; the trained weights are float32 throughout.
        gradient_checkpointing: Compute activations twice instead of keeping them.
        cache_video_tokens: Compute each video's tokens and each side channel once, before training, and keep them.
        cache_limit_gb: Memory that they may take, in units of 10^9 bytes.
        store: Folder of a feature store that video tokens and side channels are read from, and what is missing is
            added to; ``None`` to compute them.
        side_dropout: Chance with which a side channel is left out of a sample.
        augmentation: What is done to the steps of side channels, anew at each use, so that a patch stands one that is
            not exact.
        workers: Processes that read media while the model trains; or threads that do so before, where all is cached.
            An encoder on a GPU needs 0 of them, unless what it makes is cached or in a store.
        save_every: Steps between checkpoints.
        log_every: Steps between entries of the loss curve.

    Raises:
        InputError: On a value out of range, or if there is nothing to train or to train on.
    """

    base: str
    out: Path
    data: tuple[Source, ...]
    preprocessing: Preprocessing
    patch: PatchConfig | None = None
    patches: dict[str, PatchTask] | None = None
    lora: LoraSpec | None = field(default_factory=LoraSpec)
    start: str | None = None
    revision: str | None = None
    steps: int | None = None
    epochs: float = 1.0
    batch_size: int = 8
    gradient_accumulation: int = 4
    patch_lr: float = 2e-5
    lora_lr: float = 2e-5
    norm_lr: float | None = None
    warmup: float = 0.03
    scheduler: Literal["cosine", "linear", "warmup_stable_decay", "constant_with_warmup"] = "cosine"
    decay: float = 0.3
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    gradient_checkpointing: bool = True
    cache_video_tokens: bool = False
    cache_limit_gb: float = 16.0
    store: Path | None = None
    side_dropout: float = 0.0
    augmentation: Disturbance = field(default_factory=Disturbance)
    workers: int = 4
    save_every: int = 500
    log_every: int = 10

    def __post_init__(self) -> None:
        check_choices(self)
        if self.patches is not None:
            self._check_patches()
        if self.patch is None and self.patches is None and self.lora is None and self.start is None:
            raise InputError("train: neither patch nor lora is given; there is nothing to train")
        if not self.data:
            raise InputError("train: data is empty; name at least one data set")
        if all(source.from_step for source in self.data):
            raise InputError("train: every data source has a from_step; one must be there from the start, at 0")
        for source in self.data:
            unread = next((channel for channel in source.channels or () if channel not in self.channels), None)
            # A patch that training starts from tells its channel later.
            if unread is not None and self.start is None:
                raise InputError(f"data source {source.path}: no patch reads channel {unread!r}")
        for name in ("batch_size", "gradient_accumulation", "save_every", "log_every"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("patch_lr", "lora_lr", "epochs"):
            self._check(name, 0 < getattr(self, name) < math.inf, "above 0 and finite")
        # Infinity means no limit.
        for name in ("max_grad_norm", "cache_limit_gb"):
            self._check(name, getattr(self, name) > 0, "above 0")
        norm_lr = self.patch_lr if self.norm_lr is None else self.norm_lr
        self._check("norm_lr", 0 < norm_lr < math.inf, "above 0 and finite, or null for patch_lr")
        self._check("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more, and finite")
        for name in ("workers", "seed"):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        for name in ("warmup", "side_dropout"):
            self._check(name, 0 <= getattr(self, name) < 1, "from 0 up to, not including, 1")
        room = 1 - self.warmup if self.scheduler == "warmup_stable_decay" else 1
        self._check("decay", 0 < self.decay <= room, "above 0, and with warmup at most 1")
        self._check("steps", self.steps is None or self.steps >= 1, "at least 1, or null to count in epochs")
        if self.patch is not None and self.preprocessing.encoder is None:
            raise InputError(f"train: preprocessing.encoder is missing; say what makes channel {self.patch.channel!r}")

    def _check(self, name: str, holds: bool, range_: str) -> None:
        if not holds:
            raise InputError(f"train: {name} is {getattr(self, name)}; it must be {range_}")

    def _check_patches(self) -> None:
        if not self.patches:
            raise InputError("train: patches is empty; name at least one, or leave it out")
        for name in ("patch", "start"):
            if getattr(self, name) is not None:
                raise InputError(f"train: {name} and patches are both given; give one of them")
        if self.preprocessing.encoder is not None:
            raise InputError("train: preprocessing.encoder is for a single patch; with patches, each has its own")
        readers: dict[str, str] = {}
        for name, task in self.patches.items():
            other = readers.setdefault(task.patch.channel, name)
            if other != name:
                raise InputError(f"train: patches {other!r} and {name!r} both read channel {task.patch.channel!r}")

    @property
    def parts(self) -> dict[str, tuple[PatchConfig | None, Preprocessing]]:
        """Fusion module and preprocessing of each patch, by its name on the model, in the order of the names.

        A single one is named like its channel, a LoRA alone ``lora_only``.
        """
        if self.patches is None:
            return {self.patch.channel if self.patch is not None else "lora_only": (self.patch, self.preprocessing)}
        return {
            name: (task.patch, replace(self.preprocessing, encoder=task.encoder))
            for name, task in sorted(self.patches.items())
        }

    @property
    def readers(self) -> dict[str, PatchTask]:
        """The patches that read a channel, each with its encoder, by their names on the model."""
        return {
            name: PatchTask(patch, preprocessing.encoder)
            for name, (patch, preprocessing) in self.parts.items()
            if patch is not None and preprocessing.encoder is not None
        }

    @property
    def channels(self) -> list[str]:
        """Channels that its patches read."""
        return [patch.channel for patch, _ in self.parts.values() if patch is not None]

    def folder(self, name: str) -> Path:
        """Where a patch is written, as seen from ``out``."""
        return Path() if self.patches is None else Path(name)
