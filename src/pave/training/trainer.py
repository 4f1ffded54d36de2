"""PaveTrainer: ``transformers.Trainer`` that trains patches, and whose checkpoints hold nothing of the base."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback

from pave.bases.padding import right_padding_unmasked
from pave.checkpoint import LORA_FOLDER, LORA_WEIGHTS_FILE, WEIGHTS_FILE
from pave.errors import InputError
from pave.model import PaveModel
from pave.sharding import fill, gathered, in_shards, whole

PATCHES_FOLDER = "patches"
STAGING_FOLDER = "staging"
CHECKPOINT_PREFIX = "checkpoint-"
KEPT_CHECKPOINTS = 2

SCALING = ("norm.", "tanh_gate.")
"""Weights of a patch that have a learning rate of their own: what it makes grows with them alone."""


class PaveTrainer(Trainer):
    """Trains patches of a model, and their LoRAs.

    The data set gives the order of samples; nothing is shuffled here. A checkpoint holds the patch folders and the
    states of optimiser, scheduler, random numbers and trainer. It is written aside and appears under its name at
    once, so that what stands there is always whole.

    Args:
        model: The model.
        names: The patches to train; every other weight is frozen.
        patch_lr: Peak learning rate of the patches.
        lora_lr: Peak learning rate of the LoRAs.
        side_dropout: Chance with which a side channel is left out of a sample.
        norm_lr: Peak learning rate of the patches' final norms; by default ``patch_lr``.
        options: As in ``transformers.Trainer``.

    Raises:
        InputError: If there is no such patch, or it is not among those that act on the model.
    """

    def __init__(
        self,
        model: PaveModel,
        names: Sequence[str],
        patch_lr: float,
        lora_lr: float,
        side_dropout: float = 0.0,
        norm_lr: float | None = None,
        **options: Any,
    ) -> None:
        model.set_trainable(names)
        for name in names:
            if name not in model.active_patches:
                raise InputError(f"patch {name!r} is to be trained but does not act; add it with set_patches")
        self.names = list(names)
        self.rates = {"patch": patch_lr, "norm": patch_lr if norm_lr is None else norm_lr, "lora": lora_lr}
        self.side_dropout = side_dropout
        self._drawn_step = -1
        self._step_rng = np.random.default_rng()
        self._staging = False
        super().__init__(model=model, **options)
        self.remove_callback(PrinterCallback)
        check_trainable(model, names)
        if norm_lr is not None and not trained_weights(model, names)["norm"]:
            raise InputError(f"norm_lr is {norm_lr}, but {names[0]!r} has no final norm; leave it out")

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make AdamW with a learning rate for the patches and one for the LoRAs; only matrices decay."""
        if self.optimizer is None:
            groups = []
            for part, weights in trained_weights(self.model, self.names).items():
                for decays in (True, False):
                    members = [weight for weight in weights if (weight.ndim >= 2) == decays]
                    if members:
                        decay = self.args.weight_decay if decays else 0.0
                        groups.append({"params": members, "lr": self.rates[part], "weight_decay": decay})
            betas = (self.args.adam_beta1, self.args.adam_beta2)
            self.optimizer = torch.optim.AdamW(groups, betas=betas, eps=self.args.adam_epsilon)
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        """Return the loss of a batch, of which side channels may be left out."""
        if self.side_dropout and inputs.get("side"):
            inputs = {**inputs, "side": self._thinned(inputs["side"])}
        with right_padding_unmasked(self.model.language_model):
            return super().compute_loss(model, inputs, *arguments, **options)

    def _thinned(self, side: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rng = self._rng()
        return {
            channel: [None if rng.random() < self.side_dropout else entry for entry in entries]
            for channel, entries in side.items()
        }

    def _rng(self) -> np.random.Generator:
        """Return the step's own generator, so that a resumed run draws the same."""
        if self._drawn_step != self.state.global_step:
            self._drawn_step = self.state.global_step
            self._step_rng = np.random.default_rng([self.args.seed, self._drawn_step, self.args.process_index])
        return self._step_rng

    def _get_train_sampler(self, *arguments: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return os.path.join(folder, STAGING_FOLDER) if self._staging else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run = Path(self.args.output_dir)
        staging = run / STAGING_FOLDER
        if self.args.should_save:
            shutil.rmtree(staging, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._staging = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._staging = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"{CHECKPOINT_PREFIX}{self.state.global_step}"
            shutil.rmtree(run / name, ignore_errors=True)
            os.replace(staging / name, run / name)
            shutil.rmtree(staging)
            for old in checkpoints(run)[:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the patch folders into ``output_dir``; every process calls this, the first one writes."""
        for name in self.names:
            self.write_patch(name, Path(output_dir or self.args.output_dir) / PATCHES_FOLDER / name)

    def write_patch(self, name: str, folder: Path, training: Mapping[str, Any] | None = None) -> None:
        """Write a patch; every process calls this, since weights may be sharded over them, and the first one writes.

        Args:
            name: The patch.
            folder: Where to.
            training: Facts about its making.

        Raises:
            FloatingPointError: If a trained weight is NaN or infinite; nothing is written then.
        """
        self._check_finite()
        sharded = any(
            in_shards(weight) for weights in trained_weights(self.model, [name]).values() for weight in weights
        )
        if sharded or self.args.should_save:
            self.model.save_patch(name, folder, training)

    def _check_finite(self) -> None:
        weights = [weight for part in trained_weights(self.model, self.names).values() for weight in part]
        with gathered(weights):
            finite = all(torch.isfinite(whole(weight)).all() for weight in weights)
        if not finite:
            raise FloatingPointError(
                f"trained weights are NaN or infinite at step {self.state.global_step}; "
                "lower the learning rates, or train in bf16 or fp32"
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        for name in self.names:
            folder = Path(resume_from_checkpoint) / PATCHES_FOLDER / name
            if name in self.model.patches:
                state = load_file(folder / WEIGHTS_FILE)
                for key, weight in self.model.patches[name].state_dict(keep_vars=True).items():
                    fill(weight, state[key])
            if name in self.model.lora.specs:
                self.model.lora.load_state(name, load_file(folder / LORA_FOLDER / LORA_WEIGHTS_FILE))


def checkpoints(run: Path) -> list[Path]:
    """Return the whole checkpoints of a run, oldest first."""
    found = [path for path in run.glob(f"{CHECKPOINT_PREFIX}*") if path.name[len(CHECKPOINT_PREFIX) :].isdigit()]
    return sorted(found, key=lambda path: int(path.name[len(CHECKPOINT_PREFIX) :]))


def trained_weights(model: PaveModel, names: Sequence[str]) -> dict[str, list[Tensor]]:
    """Return the weights of patches, of the norms or gates that scale them, and of their LoRAs, a shared one once."""
    modules = [model.patches[name] for name in names if name in model.patches]
    patch = [(path, weight) for module in modules for path, weight in module.named_parameters()]
    lora = [weight for name in names if name in model.lora.specs for weight in model.lora.parameters(name)]
    return {
        "patch": [weight for path, weight in patch if not path.startswith(SCALING)],
        "norm": [weight for path, weight in patch if path.startswith(SCALING)],
        "lora": list({id(weight): weight for weight in lora}.values()),
    }


def check_trainable(model: PaveModel, names: Sequence[str]) -> None:
    """Check that exactly the weights of patches and their LoRAs are trained; much that touches a model may break it.

    Raises:
        RuntimeError: If another weight is trained, or one of these is not.
    """
    wanted = {id(weight) for weights in trained_weights(model, names).values() for weight in weights}
    for path, weight in model.named_parameters():
        if weight.requires_grad != (id(weight) in wanted):
            state = "trained" if weight.requires_grad else "frozen"
            listed = ", ".join(map(repr, names))
            raise RuntimeError(f"{path} is {state}, but exactly {listed} and their LoRAs are to be trained")
