"""LoRA on the language model, one for each patch that has one; the only module that imports ``peft``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel

from pave.config import LoraSpec
from pave.errors import InputError

STOCK = "__base__"
"""peft's name for "no adapter" in a mixed batch."""


class LoraSet:
    """The LoRAs that stand in a base's linear layers, and which of them act on which sample.

    Args:
        base: The base; its linear layers are wrapped in place when the first LoRA is added.
        targets: Full names of the linear layers that may get one.
    """

    def __init__(self, base: PreTrainedModel, targets: Sequence[str]) -> None:
        self.base = base
        self.targets = list(targets)
        self.specs: dict[str, LoraSpec] = {}
        self.trainable: set[str] = set()
        self._peft: PeftModel | None = None
        self._acting: tuple[str, ...] | None = None
        self._merged: tuple[str, ...] | None = None

    def add(self, name: str, spec: LoraSpec, base_name: str) -> None:
        """Add a LoRA whose product is zero, trainable.

        Raises:
            InputError: If ``spec.targets`` names no linear layer of the language model.
        """
        targets = [path for path in self.targets if spec.targets is None or path.rsplit(".", 1)[-1] in spec.targets]
        if not targets:
            leaves = sorted({path.rsplit(".", 1)[-1] for path in self.targets})
            raise InputError(f"lora: no linear layer is named {spec.targets}; choose from {', '.join(leaves)}")
        # Full names, because peft rewrites a pattern for some model types.
        config = LoraConfig(
            r=spec.r, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=targets, task_type="CAUSAL_LM"
        )
        if self._peft is None:
            self._peft = get_peft_model(self.base, config, adapter_name=name)
        else:
            self._peft.add_adapter(name, config)
        self._peft.peft_config[name].base_model_name_or_path = base_name
        self.specs[name] = spec
        self.trainable.add(name)
        self._acting = None
        self.act([name])

    def remove(self, name: str) -> None:
        """Take a LoRA out again."""
        assert self._peft is not None
        self.act([])
        self._peft.base_model.delete_adapter(name)
        del self.specs[name]
        self.trainable.discard(name)
        self._acting = None

    def act(self, names: Sequence[str]) -> None:
        """Let exactly these LoRAs act, summed, on every sample."""
        wanted = tuple(sorted(names))
        self._check_merged({wanted})
        if self._peft is None or wanted == self._acting:
            return
        if wanted:
            self._peft.base_model.enable_adapter_layers()
            self._peft.base_model.set_adapter(list(wanted))
        else:
            self._peft.base_model.disable_adapter_layers()
        self._acting = wanted
        self._restore_requires_grad()

    @contextmanager
    def routed(self, rows: Sequence[frozenset[str]], repeats: int = 1) -> Iterator[dict[str, Any]]:
        """Let each sample's LoRAs act on it, summed.

        Args:
            rows: For each sample the names of its LoRAs.
            repeats: How often ``generate`` repeats each sample.

        Yields:
            What must be passed on to the base's forward or generate.

        Raises:
            InputError: If samples differ while the model is in training mode.
        """
        kinds = set(rows)
        self._check_merged({tuple(sorted(kind)) for kind in kinds})
        if self._peft is None or len(kinds) <= 1:
            self.act(sorted(kinds.pop()) if kinds else [])
            yield {}
            return
        if self._in_training():
            raise InputError("patches differ between the samples of a training batch; train on one choice a batch")
        names = {kind: self._joined(kind) for kind in kinds}
        self._peft.eval()
        self.act(sorted({name for kind in kinds for name in kind}))
        try:
            yield {"adapter_names": [names[kind] for kind in rows for _ in range(repeats)]}
        finally:
            for kind, name in names.items():
                if len(kind) > 1:
                    self._peft.base_model.delete_adapter(name)
            self._acting = None

    @contextmanager
    def merged(self, names: Sequence[str]) -> Iterator[None]:
        """Inside this, the products of these LoRAs stand in the base's own weights, so that they cost nothing.

        They then act on every sample. The base's weights are kept beside, and come back bit for bit.

        Raises:
            InputError: If a sample asks for other LoRAs meanwhile.
        """
        assert self._peft is not None
        self.act(names)
        layers = [module.get_base_layer() for module in self.base.modules() if isinstance(module, LoraLayer)]
        kept = [layer.weight.detach().clone() for layer in layers]
        self._peft.base_model.merge_adapter(list(names))
        self._merged = self._acting
        try:
            yield
        finally:
            self._merged = None
            self._peft.base_model.unmerge_adapter()
            with torch.no_grad():
                # Subtracting the product again would leave rounding behind.
                for layer, weight in zip(layers, kept, strict=True):
                    layer.weight.copy_(weight)

    def _check_merged(self, kinds: set[tuple[str, ...]]) -> None:
        if self._merged is not None and kinds - {self._merged}:
            raise InputError(
                f"the LoRAs {', '.join(self._merged)} are merged into the base and act on every sample; "
                "leave the merged state to choose others"
            )

    @property
    def mixed_model(self) -> PeftModel:
        """The peft view of the base, which understands what :meth:`routed` yields for a mixed batch."""
        assert self._peft is not None
        return self._peft

    def _in_training(self) -> bool:
        return any(module.training for module in self.base.modules() if isinstance(module, LoraLayer))

    def _joined(self, kind: frozenset[str]) -> str:
        """Name of the adapter for a set of LoRAs; several become one, whose ranks are theirs put together: the sum."""
        if len(kind) <= 1:
            return next(iter(kind), STOCK)
        assert self._peft is not None
        members = sorted(kind)
        name = "+".join(members)
        self._peft.base_model.add_weighted_adapter(members, [1.0] * len(members), name, combination_type="cat")
        return name

    def _restore_requires_grad(self) -> None:
        # peft ties requires_grad to what acts; here it says what is trained, whatever acts just now.
        for name in self.specs:
            for parameter in self.parameters(name):
                parameter.requires_grad_(name in self.trainable)

    def parameters(self, name: str) -> list[Tensor]:
        """Return the weights of one LoRA."""
        marks = (f".lora_A.{name}.", f".lora_B.{name}.")
        return [weight for path, weight in self.base.named_parameters() if any(mark in path for mark in marks)]

    def state(self, name: str) -> dict[str, Tensor]:
        """Return the weights of one LoRA under the names of peft's own files."""
        assert self._peft is not None
        state: dict[str, Tensor] = get_peft_model_state_dict(
            self._peft, adapter_name=name, save_embedding_layers=False
        )
        return {key: value.detach().cpu().contiguous() for key, value in state.items()}

    @torch.no_grad()
    def load_state(self, name: str, state: dict[str, Tensor]) -> None:
        """Set the weights of one LoRA from what :meth:`state` returned; names and shapes are checked by the caller."""
        set_peft_model_state_dict(self._peft, state, adapter_name=name)

    def save_config(self, name: str, folder: Path) -> None:
        """Write peft's ``adapter_config.json``."""
        assert self._peft is not None
        config = self._peft.peft_config[name]
        inference_mode, config.inference_mode = config.inference_mode, True
        config.save_pretrained(str(folder))
        config.inference_mode = inference_mode
