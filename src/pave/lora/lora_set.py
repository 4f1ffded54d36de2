"""LoRA on the language model, one for each patch or shared by several, by way of ``peft``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel

from pave.config import LoraSpec
from pave.errors import InputError, nearest
from pave.lora.layers import PEFT_PREFIX, peft_config, place, unwrap
from pave.routing import RowLoras
from pave.sharding import fill, whole

Names: TypeAlias = Iterable[str] | Mapping[str, float]
"""Names of patches, or names with the weight by which a LoRA is scaled."""

Weights: TypeAlias = dict[str, float]
"""Weight of each acting LoRA under peft's name for it."""


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
        self._layers: list[LoraLayer] = []
        self._acting: Weights | None = None
        self._scaled: Weights = {}
        self._merged: Weights | None = None

    def add(self, name: str, spec: LoraSpec) -> None:
        """Add a LoRA whose product is zero, trainable; or join the one of the same identity, as it is.

        On an error the base is as it was.

        Raises:
            InputError: If one of ``spec.targets`` names no linear layer of the language model, a LoRA of the same
                identity has other settings, the base holds LoRAs of someone else, or some are merged into it.
        """
        self.check_not_merged()
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
        config = peft_config(spec, self._target_paths(spec))
        if self._peft is None and any(isinstance(module, LoraLayer) for module in self.base.modules()):
            raise InputError("lora: the base holds the LoRA of another model already; remove that one, or merge it")
        try:
            if self._peft is None:
                self._peft = get_peft_model(self.base, config, adapter_name=adapter)
            else:
                self._peft.add_adapter(adapter, config)
            self._find_layers()
            for layer in self._layers_of(adapter):
                place(layer, adapter)
        except BaseException:
            self._drop_adapter(adapter)
            raise

    def _target_paths(self, spec: LoraSpec) -> list[str]:
        """Return the full names of the layers that get a LoRA, each of its targets matched."""
        if spec.targets is None:
            return self.targets
        leaves = sorted({_leaf(path) for path in self.targets})
        for target in spec.targets:
            if target not in leaves:
                raise InputError(
                    f"lora: no linear layer that may get one is named {target!r}; "
                    f"choose from {', '.join(leaves)}{nearest(target, leaves)}"
                )
        paths = [path for path in self.targets if _leaf(path) in spec.targets]
        if not paths:
            raise InputError(f"lora: targets is empty; choose from {', '.join(leaves)}, or leave it out for all")
        return paths

    def _drop_adapter(self, adapter: str) -> None:
        """Take an adapter out, whole or half added; with the last one, the base's own layers are put back."""
        if not self.specs or self._peft is None:
            unwrap(self.base)
            self._peft = None
            self._scaled = {}
        else:
            # Of one that it half added, peft has put away the settings and left the weights.
            self._peft.peft_config.setdefault(adapter, None)
            self._peft.base_model.delete_adapter(adapter)
            self._scaled.pop(adapter, None)
        self._acting = None
        self._find_layers()

    def _find_layers(self) -> None:
        self._layers = [module for module in self.base.modules() if isinstance(module, LoraLayer)]

    def remove(self, name: str) -> None:
        """Take the LoRA of a patch out again, unless another patch shares it.

        With the last one the base has its own layers back.

        Raises:
            InputError: If some are merged into the base.
        """
        self.check_not_merged()
        self.act([])
        is_shared, adapter = bool(self.sharers(name)), _adapter(name, self.specs[name])
        del self.specs[name]
        self.trainable.discard(name)
        if not is_shared:
            self._drop_adapter(adapter)
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

    def _weights(self, names: Names) -> Weights:
        """Return peft's names of the LoRAs of these patches, sorted, each once with its largest weight."""
        given = names if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
        weights: Weights = {}
        for name, weight in given.items():
            adapter = _adapter(name, self.specs[name])
            weights[adapter] = max(weight, weights.get(adapter, weight))
        return dict(sorted(weights.items()))

    def act(self, names: Names) -> None:
        """Let exactly the LoRAs of these patches act, summed, on every sample.

        Raises:
            InputError: If others are merged into the base.
        """
        self._act(self._weights(names))

    def _act(self, wanted: Weights) -> None:
        self._check_merged([wanted])
        if self._peft is None or wanted == self._acting:
            return
        if wanted:
            self._peft.base_model.enable_adapter_layers()
            self._peft.base_model.set_adapter(list(wanted))
            # peft looks up its settings under this name, and would keep the name of a LoRA that was removed.
            self._peft.active_adapter = next(iter(wanted))
            self._scale(wanted)
        else:
            self._peft.base_model.disable_adapter_layers()
        self._acting = wanted
        self._restore_requires_grad()

    def _scale(self, weights: Weights) -> None:
        for adapter, weight in weights.items():
            if self._scaled.get(adapter, 1.0) != weight:
                for layer in self._layers_of(adapter):
                    layer.set_scale(adapter, weight)
                self._scaled[adapter] = weight

    @contextmanager
    def routed(self, rows: Sequence[Names]) -> Iterator[None]:
        """Let each sample's LoRAs act on it, summed, inside this.

        Args:
            rows: For each sample the patches whose LoRAs act on it, or their weights.

        Raises:
            InputError: If samples differ while the model is in training mode, or others are merged into the base.
        """
        wanted = [self._weights(row) for row in rows]
        self._check_merged(wanted)
        if self._peft is None or all(row == wanted[0] for row in wanted):
            self._act(wanted[0] if wanted else {})
            yield
            return
        if any(layer.training for layer in self._layers):
            raise InputError("patches differ between the samples of a training batch; train on one choice a batch")
        self._act({})
        loras = RowLoras(wanted)
        self._scale(dict.fromkeys(loras.names, 1.0))
        with loras.acting(self._layers):
            yield

    def checkpointed(
        self, checkpoint: Callable[..., Any], function: Callable[..., Any], *inputs: Any, **named: Any
    ) -> Any:
        """Run a part of the base under a checkpoint; when it is recomputed, the LoRAs that act just now act again.

        Args:
            checkpoint: Runs a function on inputs, and once more in the backward pass, as ``torch.utils.checkpoint``.
            function: The part of the base.
            inputs: Its inputs.
            named: More of them, or options of the checkpoint.
        """
        weights = dict(self._acting or {})

        def run(*given: Any, **given_named: Any) -> Any:
            # Not put back afterwards: the next part is mostly of the same call, and each call chooses for itself.
            self._act(weights)
            return function(*given, **given_named)

        return checkpoint(run, *inputs, **named)

    @contextmanager
    def merged(self, names: Names) -> Iterator[None]:
        """Inside this, the LoRAs of these patches stand in the base's own weights, so that they cost nothing.

        They then act on every sample. The base's weights are kept beside, and come back bit for bit.

        Raises:
            InputError: If the base's weights cannot take them, some are merged already, or a sample asks for other
                LoRAs meanwhile.
        """
        assert self._peft is not None
        self.check_not_merged()
        self.check_mergeable()
        wanted = self._weights(names)
        self._act(wanted)
        kept = [(layer, layer.get_base_layer().weight.detach().clone()) for layer in self._layers]
        try:
            self._peft.base_model.merge_adapter(list(wanted))
            self._merged = wanted
            yield
        finally:
            self._merged = None
            with torch.no_grad():
                for layer, weight in kept:
                    # peft would subtract the product again, which leaves rounding behind.
                    layer.merged_adapters.clear()
                    layer.get_base_layer().weight.copy_(weight)

    def merged_copy(self, names: Names) -> PreTrainedModel:
        """Return a copy of the base with the LoRAs of these patches in its weights, and none beside them.

        Raises:
            InputError: If the base's weights cannot take them, or some are merged into them already.
        """
        self.check_not_merged()
        self.check_mergeable()
        wanted = self._weights(names)
        self._act(wanted)
        fresh = copy.deepcopy(self.base)
        for layer in (module for module in fresh.modules() if isinstance(module, LoraLayer)):
            layer.merge(adapter_names=[adapter for adapter in wanted if adapter in layer.lora_A])
        unwrap(fresh)
        return fresh

    def check_mergeable(self) -> None:
        """Check that LoRAs can be added to the base's weights.

        Raises:
            InputError: If one is quantised, offloaded or sharded.
        """
        for layer in self._layers:
            weight = layer.get_base_layer().weight
            if type(weight) is not torch.nn.Parameter or weight.is_meta or not weight.is_floating_point():
                raise InputError(
                    "the base's weights are quantised, offloaded or sharded, and a LoRA cannot be merged into them; "
                    "load the base in one piece and a float type"
                )

    def check_not_merged(self) -> None:
        """Check that no LoRA stands in the base's weights just now, where a change of it would not be seen.

        Raises:
            InputError: If one does.
        """
        if self._merged is not None:
            raise InputError(f"the LoRAs {', '.join(self._merged)} are merged into the base; leave that state first")

    def _check_merged(self, wanted: Sequence[Weights]) -> None:
        if self._merged is not None and any(row != self._merged for row in wanted):
            raise InputError(
                f"the LoRAs {', '.join(self._merged)} are merged into the base and act on every sample; "
                "leave the merged state to choose others"
            )

    def _restore_requires_grad(self) -> None:
        # peft ties requires_grad to what acts; here it says what is trained, whatever acts just now.
        trained = self._weights(self.trainable)
        for name, spec in self.specs.items():
            for parameter in self.parameters(name):
                parameter.requires_grad_(_adapter(name, spec) in trained)

    def parameters(self, name: str) -> list[Tensor]:
        """Return the weights of the LoRA of one patch."""
        adapter = _adapter(name, self.specs[name])
        return [part[adapter].weight for layer in self._layers_of(adapter) for part in (layer.lora_A, layer.lora_B)]

    def _layers_of(self, adapter: str) -> list[LoraLayer]:
        return [layer for layer in self._layers if adapter in layer.lora_A]

    def state(self, name: str) -> dict[str, Tensor]:
        """Return the weights of the LoRA of one patch under the names of peft's files, in one piece, on the CPU."""
        return {key: whole(weight) for key, weight in self.named(name).items()}

    def load_state(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Set the weights of a patch's LoRA from what :meth:`state` returned; the caller checks names and shapes."""
        for key, weight in self.named(name).items():
            fill(weight, state[key])

    def named(self, name: str) -> dict[str, Tensor]:
        """Return the weights of the LoRA of one patch under the names of peft's own files, as and where they are."""
        adapter = _adapter(name, self.specs[name])
        # A patch may have the name of a module, so that its name alone says nothing.
        marks = {f".{part}.{adapter}.": f".{part}." for part in ("lora_A", "lora_B")}
        return {
            PEFT_PREFIX + path.replace(mark, plain): weight
            for path, weight in self.base.named_parameters()
            for mark, plain in marks.items()
            if mark in path
        }


def _adapter(name: str, spec: LoraSpec) -> str:
    """Return peft's name of a patch's LoRA; a hyphen never stands in a patch's name."""
    return name if spec.shared is None else f"shared-{spec.shared}"


def _leaf(path: str) -> str:
    return path.rsplit(".", 1)[-1]
