"""What trainers and loaders ask of a model of ``transformers``, answered by the base inside a PaveModel."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pave.lora import LoraSet

CHECKPOINT = "_gradient_checkpointing_func"
"""Where a module of ``transformers`` holds what runs its layers under a checkpoint."""


class Hosted(nn.Module):
    """A module around a base that may stand where a model of ``transformers`` is expected."""

    base: PreTrainedModel
    lora: LoraSet

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
        """Where the parts of the base lie; as on the base, there is no such attribute if nobody spread them."""
        found: dict[str, Any] = self.base.hf_device_map
        return found

    @property
    def _no_split_modules(self) -> Any:
        return self.base._no_split_modules

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Recompute activations in the backward pass, each layer with the LoRAs that acted in its forward pass.

        Args:
            activation_checkpointing_kwargs: For ``torch.utils.checkpoint``; by default it is not reentrant.
            options: Other options of the base's own method, such as ``every_n_layers``.
        """
        given = {"use_reentrant": False, **(activation_checkpointing_kwargs or {})}
        if hasattr(self.base, "activation_checkpointing_enable"):
            self.base.activation_checkpointing_enable(given, **options)
        else:
            self.base.gradient_checkpointing_enable(given, **options)
        for module in self.base.modules():
            # A context_fn would do, but torch.compile takes none.
            if hasattr(module, CHECKPOINT):
                setattr(module, CHECKPOINT, partial(self.lora.checkpointed, getattr(module, CHECKPOINT)))
        if not given["use_reentrant"]:
            # transformers lets the inputs of models with adapters require gradients, the tower's, too, which only
            # reentrant checkpoints need: the backward pass would go through a tower in which nothing is trained.
            self.base.disable_input_require_grads()

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Former name of :meth:`activation_checkpointing_enable`, which older releases of ``transformers`` call."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs, **options)
