"""LoRA on the language model, one for each patch or shared by several; the only module that imports ``peft``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    Names are those of patches. Patches whose LoRA has one identity (:attr:`LoraSpec.shared`) have one adapter: it acts
    once on a sample, however many of them do, and is trained if one of them is.

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

    def add(self, name: str, spec: LoraSpec) -> None:
        """Add a LoRA whose product is zero, trainable; or join the one of the same identity, as it is.

        Raises:
            InputError: If ``spec.targets`` names no linear layer of the language model, or a LoRA of the same identity
                has other settings.
        """
        other = next((user for user in self.specs if _adapter(user, self.specs[user]) == _adapter(name, spec)), None)
        if other is None:
            self._add_adapter(_adapter(name, spec), spec)
        elif self.specs[other] != spec:
            raise InputError(f"lora: patch {other!r} shares the LoRA {spec.shared!r} with other settings; use its own")
        self.specs[name] = spec
        self.trainable.add(name)
        self._acting = None
        self.act([name])

    def _add_adapter(self, adapter: str, spec: LoraSpec) -> None:
        targets = [path for path in self.targets if spec.targets is None or path.rsplit(".", 1)[-1] in spec.targets]
        if not targets:
            leaves = sorted({path.rsplit(".", 1)[-1] for path in self.targets})
            raise InputError(f"lora: no linear layer is named {spec.targets}; choose from {', '.join(leaves)}")
        config = _peft_config(spec, targets)
        if self._peft is None:
            self._peft = get_peft_model(self.base, config, adapter_name=adapter)
        else:
            self._peft.add_adapter(adapter, config)

    def remove(self, name: str) -> None:
        """Take the LoRA of a patch out again, unless another patch shares it."""
        assert self._peft is not None
        self.act([])
        if not self.sharers(name):
            self._peft.base_model.delete_adapter(self._adapters([name])[0])
        del self.specs[name]
        self.trainable.discard(name)
        self._acting = None
        self._restore_requires_grad()

    def sharers(self, name: str) -> list[str]:
        """Return the other patches that share the LoRA of this one."""
        mine = _adapter(name, self.specs[name])
        return [other for other, spec in self.specs.items() if other != name and _adapter(other, spec) == mine]

    def set_trainable(self, names: Iterable[str]) -> None:
        """Train exactly the LoRAs of these patches; a shared one if any patch that shares it is among them."""
        self.trainable = set(names) & set(self.specs)
        self._restore_requires_grad()

    def _adapters(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return peft's names of the LoRAs of these patches, each once, sorted."""
        return tuple(sorted({_adapter(name, self.specs[name]) for name in names}))

    def act(self, names: Iterable[str]) -> None:
        """Let exactly the LoRAs of these patches act, summed, on every sample."""
        self._act(self._adapters(names))

    def _act(self, wanted: tuple[str, ...]) -> None:
        self._check_merged({wanted})
        if self._peft is None or wanted == self._acting:
            return
        if wanted:
            self._peft.base_model.enable_adapter_layers()
            self._peft.base_model.set_adapter(list(wanted))
            # peft looks up its settings under this name, and would keep the name of a LoRA that was removed.
            self._peft.active_adapter = wanted[0]
        else:
            self._peft.base_model.disable_adapter_layers()
        self._acting = wanted
        self._restore_requires_grad()

    @contextmanager
    def routed(self, rows: Sequence[frozenset[str]], repeats: int = 1) -> Iterator[dict[str, Any]]:
        """Let each sample's LoRAs act on it, summed.

        Args:
            rows: For each sample the names of the patches whose LoRAs act on it.
            repeats: How often ``generate`` repeats each sample.

        Yields:
            What must be passed on to the base's forward or generate.

        Raises:
            InputError: If samples differ while the model is in training mode.
        """
        adapters = [self._adapters(row) for row in rows]
        kinds = set(adapters)
        self._check_merged(kinds)
        if self._peft is None or len(kinds) <= 1:
            self._act(kinds.pop() if kinds else ())
            yield {}
            return
        if self._in_training():
            raise InputError("patches differ between the samples of a training batch; train on one choice a batch")
        names = {kind: self._joined(kind) for kind in kinds}
        self._peft.eval()
        self._act(tuple(sorted({adapter for kind in kinds for adapter in kind})))
        try:
            yield {"adapter_names": [names[kind] for kind in adapters for _ in range(repeats)]}
        finally:
            for kind, name in names.items():
                if len(kind) > 1:
                    self._peft.base_model.delete_adapter(name)
            self._acting = None

    @contextmanager
    def merged(self, names: Iterable[str]) -> Iterator[None]:
        """Inside this, the LoRAs of these patches stand in the base's own weights, so that they cost nothing.

        They then act on every sample. The base's weights are kept beside, and come back bit for bit.

        Raises:
            InputError: If a sample asks for other LoRAs meanwhile.
        """
        assert self._peft is not None
        adapters = self._adapters(names)
        self._act(adapters)
        layers = [module.get_base_layer() for module in self.base.modules() if isinstance(module, LoraLayer)]
        kept = [layer.weight.detach().clone() for layer in layers]
        self._peft.base_model.merge_adapter(list(adapters))
        self._merged = adapters
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

    def _joined(self, kind: tuple[str, ...]) -> str:
        """Name of the adapter for a set of LoRAs; several become one, whose ranks are theirs put together: the sum."""
        if len(kind) <= 1:
            return next(iter(kind), STOCK)
        assert self._peft is not None
        name = "+".join(kind)
        self._peft.base_model.add_weighted_adapter(list(kind), [1.0] * len(kind), name, combination_type="cat")
        return name

    def _restore_requires_grad(self) -> None:
        # peft ties requires_grad to what acts; here it says what is trained, whatever acts just now.
        trained = self._adapters(self.trainable)
        for name in self.specs:
            for parameter in self.parameters(name):
                parameter.requires_grad_(self._adapters([name])[0] in trained)

    def parameters(self, name: str) -> list[Tensor]:
        """Return the weights of the LoRA of one patch."""
        (adapter,) = self._adapters([name])
        marks = (f".lora_A.{adapter}.", f".lora_B.{adapter}.")
        return [weight for path, weight in self.base.named_parameters() if any(mark in path for mark in marks)]

    def state(self, name: str) -> dict[str, Tensor]:
        """Return the weights of the LoRA of one patch under the names of peft's own files."""
        assert self._peft is not None
        (adapter,) = self._adapters([name])
        state: dict[str, Tensor] = get_peft_model_state_dict(
            self._peft, adapter_name=adapter, save_embedding_layers=False
        )
        return {key: value.detach().cpu().contiguous() for key, value in state.items()}

    @torch.no_grad()
    def load_state(self, name: str, state: dict[str, Tensor]) -> None:
        """Set the weights of a patch's LoRA from what :meth:`state` returned; the caller checks names and shapes."""
        set_peft_model_state_dict(self._peft, state, adapter_name=self._adapters([name])[0])


def _adapter(name: str, spec: LoraSpec) -> str:
    """Return peft's name of a patch's LoRA; a hyphen never stands in a patch's name."""
    return name if spec.shared is None else f"shared-{spec.shared}"


def _peft_config(spec: LoraSpec, targets: Iterable[str]) -> LoraConfig:
    # Full names, because peft rewrites a pattern for some model types.
    return LoraConfig(
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(targets),
        task_type="CAUSAL_LM",
    )


def adapter_config(spec: LoraSpec, state: Mapping[str, Tensor], base_name: str) -> dict[str, Any]:
    """Return the content of peft's ``adapter_config.json`` for a LoRA with these weights, named as in peft's files."""
    inside = {key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for key in state}
    config = _peft_config(spec, inside)
    config.base_model_name_or_path, config.inference_mode = base_name, True
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
