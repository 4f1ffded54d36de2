"""The LoRA of a reference checkpoint: its settings, and its tensors under the names of today's ``transformers``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pave.checkpoint import check_tensors
from pave.config import LoraSpec
from pave.convert.checkpoint_files import CheckpointFiles
from pave.errors import InputError
from pave.model import PaveModel

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILES = ("adapter_model.safetensors", "adapter_model.bin")

THEIRS, OURS = "model.layers.", "model.language_model.layers."
"""Where the language model's layers lie in the reference's base, and in that of ``transformers``."""

_WRAPPER = "base_model.model."

_WITHOUT = {
    "bias": "none",
    "fan_in_fan_out": False,
    "layer_replication": None,
    "layers_to_transform": None,
    "modules_to_save": None,
    "alpha_pattern": {},
    "rank_pattern": {},
    "use_dora": False,
    "use_rslora": False,
}
"""Settings of peft, and the one value that the reference gives each."""


def read_lora(files: CheckpointFiles, base: PaveModel) -> tuple[LoraSpec, dict[str, Tensor]]:
    """Return the LoRA of a checkpoint, its tensors under this project's names.

    Args:
        files: The checkpoint.
        base: The base, which may be without weights (on the meta device).

    Raises:
        InputError: If a setting is one that the reference does not use, or a tensor is missing, unexpected or of
            another shape than the base asks for.
    """
    present = [name for name in WEIGHTS_FILES if files.has(name)]
    if len(present) != 1:
        found = "both" if present else "neither"
        raise InputError(f"{files.where('')}: holds {found} of {' and '.join(WEIGHTS_FILES)}; give exactly one")
    config = _read_config(files)
    layers = base.lora.targets
    modules = _modules(config["target_modules"], layers, files.where(CONFIG_FILE))
    spec = LoraSpec(
        r=config["r"],
        alpha=config["lora_alpha"],
        dropout=config["lora_dropout"],
        targets=_leaves(modules, layers, files.where(CONFIG_FILE)),
    )
    state = files.read_tensors(present[0])
    where = Path(files.where(present[0]))
    check_tensors(state, _wanted(base, modules, spec.r), where)
    for key, value in state.items():
        if not value.dtype.is_floating_point:
            raise InputError(f"{where}: tensor {key!r} is {value.dtype}; give float values")
    return spec, {key.replace(_WRAPPER + THEIRS, _WRAPPER + OURS, 1): value for key, value in state.items()}


def to_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a LoRA's tensors under the reference's names."""
    return {key.replace(_WRAPPER + OURS, _WRAPPER + THEIRS, 1): value for key, value in state.items()}


def reference_config(spec: LoraSpec, state: Mapping[str, Tensor], base_name: str) -> dict[str, Any]:
    """Return ``adapter_config.json`` as peft 0.10, which the reference uses, writes it: it refuses any other key.

    Args:
        spec: The LoRA.
        state: Its tensors under the reference's names.
        base_name: The reference's name of the base.
    """
    targets = sorted({key.removeprefix(_WRAPPER).rsplit(".lora_", 1)[0] for key in state})
    return {
        **_WITHOUT,
        "auto_mapping": None,
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_pattern": None,
        "loftq_config": {},
        "lora_alpha": spec.alpha,
        "lora_dropout": spec.dropout,
        "megatron_config": None,
        "megatron_core": "megatron.core",
        "peft_type": "LORA",
        "r": spec.r,
        "revision": None,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
    }


def _read_config(files: CheckpointFiles) -> dict[str, Any]:
    config, where = files.read_json(CONFIG_FILE), files.where(CONFIG_FILE)
    if config.get("peft_type") != "LORA":
        raise InputError(f"{where}: peft_type is {config.get('peft_type')!r}; only 'LORA' can be converted")
    for key, kind in (("r", int), ("lora_alpha", int), ("lora_dropout", (int, float))):
        if not isinstance(config.get(key), kind):
            raise InputError(f"{where}: {key} is {config.get(key)!r}; it must be a number")
    for key, value in _WITHOUT.items():
        if config.get(key) not in (None, value):
            raise InputError(f"{where}: {key} is {config[key]!r}; the reference has {value!r}, nothing else converts")
    return config


def _modules(targets: Any, layers: Iterable[str], where: str) -> set[str]:
    """Return the full names of the linear layers that have a LoRA, as in the base of ``transformers``."""
    if not isinstance(targets, list) or not targets:
        raise InputError(f"{where}: target_modules is {targets!r}; it must be a list of names")
    modules: set[str] = set()
    for target in targets:
        name = str(target).replace(THEIRS, OURS, 1)
        found = {layer for layer in layers if layer == name or layer.endswith(f".{name}")}
        if not found:
            raise InputError(f"{where}: target_modules names {target!r}, which is no linear layer of the base")
        modules |= found
    return modules


def _leaves(modules: set[str], layers: list[str], where: str) -> tuple[str, ...] | None:
    leaves = {module.rsplit(".", 1)[-1] for module in modules}
    wanted = {layer for layer in layers if layer.rsplit(".", 1)[-1] in leaves}
    if wanted - modules:
        raise InputError(f"{where}: target_modules leaves out {min(wanted - modules)!r}; all layers must have a LoRA")
    return None if modules == set(layers) else tuple(sorted(leaves))


def _wanted(base: PaveModel, modules: set[str], r: int) -> dict[str, Tensor]:
    """Return the tensors that the checkpoint must hold, under the reference's names and without values."""
    wanted = {}
    for module in sorted(modules):
        linear: Any = base.base.get_submodule(module)
        name = _WRAPPER + module.replace(OURS, THEIRS, 1)
        wanted[f"{name}.lora_A.weight"] = torch.empty(r, linear.in_features, device="meta")
        wanted[f"{name}.lora_B.weight"] = torch.empty(linear.out_features, r, device="meta")
    return wanted
