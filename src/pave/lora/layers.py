"""What ``peft`` puts around a base's layers: its settings and its names, where it lies, and how it is taken off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel

from pave.config import LoraSpec

PEFT_PREFIX = "base_model.model."
"""What peft's own files put before the names of a model's weights."""


def peft_config(spec: LoraSpec, targets: Iterable[str]) -> LoraConfig:
    """Return what peft is told of a LoRA on the layers of these full names."""
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
    inside = {key.removeprefix(PEFT_PREFIX).rsplit(".lora_", 1)[0] for key in state}
    config = peft_config(spec, inside)
    config.base_model_name_or_path, config.inference_mode = base_name, True
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}


def place(layer: LoraLayer, adapter: str) -> None:
    """Put a LoRA where its layer computes, if the layer's own weight is offloaded; peft would offload it, too."""
    hook = getattr(layer.get_base_layer(), "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    if device is None:
        return
    offloaded = layer.lora_A[adapter].weight.is_meta
    for part in (layer.lora_A[adapter], layer.lora_B[adapter]):
        part.to_empty(device=device) if offloaded else part.to(device)
    if offloaded:
        layer.reset_lora_parameters(adapter, init_lora_weights=True)


def unwrap(base: PreTrainedModel) -> None:
    """Put a base's own layers in the place of those that peft wrapped around them."""
    for path, layer in [(path, module) for path, module in base.named_modules() if isinstance(module, LoraLayer)]:
        base.set_submodule(path, layer.get_base_layer())
    if hasattr(base, "peft_config"):
        del base.peft_config
