"""What trainers and loaders ask of a model of ``transformers``, answered by the base inside a PaveModel."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class Hosted(nn.Module):
    """A module around a base that may stand where a model of ``transformers`` is expected."""

    base: PreTrainedModel

    @property
    def config(self) -> Any:
        """Configuration of the base."""
        return self.base.config

    @property
    def device(self) -> torch.device:
        """Device that the base takes its inputs on."""
        hook = getattr(self.base, "_hf_hook", None)
        device = getattr(hook, "execution_device", None)
        if device is not None:
            # Parts of the base may lie elsewhere, or nowhere until they are used.
            return torch.device(device)
        return self.base.device

    @property
    def dtype(self) -> torch.dtype:
        """Float type of the base."""
        return self.base.dtype

    @property
    def loss_type(self) -> str | None:
        """Kind of the base's loss, by which trainers know that a row's first token is no target."""
        return getattr(self.base, "loss_type", None)

    @property
    def hf_device_map(self) -> dict[str, Any]:
        """Where the parts of the base lie; empty if they lie on one device."""
        return dict(getattr(self.base, "hf_device_map", {}))

    @property
    def _no_split_modules(self) -> Any:
        return self.base._no_split_modules

    def activation_checkpointing_enable(self, activation_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Recompute activations in the backward pass, by default not reentrantly."""
        options = {"use_reentrant": False, **(activation_checkpointing_kwargs or {})}
        if hasattr(self.base, "activation_checkpointing_enable"):
            self.base.activation_checkpointing_enable(options)
        else:
            self.base.gradient_checkpointing_enable(options)
        if not options["use_reentrant"]:
            # transformers lets the inputs of models with adapters require gradients, the tower's, too, which only
            # reentrant checkpoints need: the backward pass would go through a tower in which nothing is trained.
            self.base.disable_input_require_grads()

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Former name of :meth:`activation_checkpointing_enable`, which older releases of ``transformers`` call."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs)
