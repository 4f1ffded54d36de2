"""The patch folder: written atomically, read strictly, never unpickled."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pave.card import write_card
from pave.config import FORMAT_VERSION, PatchSpec, Preprocessing, from_dict, read_json, to_dict
from pave.errors import InputError, nearest
from pave.files import whole_folder
from pave.shipped import locate, shipped_patches

if TYPE_CHECKING:
    from pave.model import PaveModel

CONFIG_FILE = "patch_config.json"
WEIGHTS_FILE = "patch.safetensors"
PREPROCESSING_FILE = "preprocessing.json"
LORA_FOLDER = "lora"
LORA_WEIGHTS_FILE = "adapter_model.safetensors"
LORA_CONFIG_FILE = "adapter_config.json"

logger = logging.getLogger(__name__)


def locate_patch(source: str | Path) -> Path:
    """Return the folder of a patch: a shipped name, a folder, or a hub id, which is downloaded.

    Raises:
        InputError: If there is no patch folder.
    """
    folder = locate(source, shipped_patches(), "patch")
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(
            f"{folder}: holds no {CONFIG_FILE}; give a patch folder, as save_patch or pave train writes it"
        )
    return folder


def read_spec(folder: Path) -> PatchSpec:
    """Read ``patch_config.json``.

    Raises:
        InputError: If it is damaged, has an unknown key, or was written by a newer format version.
    """
    path = folder / CONFIG_FILE
    return from_dict(PatchSpec, read_json(path), str(path))


def read_preprocessing(folder: Path) -> Preprocessing | None:
    """Read ``preprocessing.json``; ``None`` if the patch was saved without one.

    Raises:
        InputError: If it is damaged or has an unknown key.
    """
    path = folder / PREPROCESSING_FILE
    return from_dict(Preprocessing, read_json(path), str(path)) if path.exists() else None


def save_patch(model: PaveModel, name: str, folder: Path, training: Mapping[str, Any]) -> None:
    """Write one patch of a model; see :meth:`pave.PaveModel.save_patch`."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG_FILE).is_file())):
        raise InputError(f"{folder}: exists and is no patch folder; choose a new or an empty folder")
    spec = replace(model.specs[name], training=dict(training))
    preprocessing = model.preprocessing.get(name)
    with whole_folder(folder) as fresh:
        _write_json(fresh / CONFIG_FILE, to_dict(spec))
        if preprocessing is not None:
            _write_json(fresh / PREPROCESSING_FILE, to_dict(preprocessing))
        if spec.patch is not None:
            state = model.patches[name].state_dict()
            save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, fresh / WEIGHTS_FILE)
        if spec.lora is not None:
            (fresh / LORA_FOLDER).mkdir()
            model.lora.save_config(name, fresh / LORA_FOLDER)
            save_file(model.lora.state(name), fresh / LORA_FOLDER / LORA_WEIGHTS_FILE, metadata={"format": "pt"})
        write_card(fresh, spec, preprocessing)


def load_patch(model: PaveModel, source: str | Path, name: str | None, trainable: bool) -> str:
    """Load a patch onto a model; see :meth:`pave.PaveModel.load_patch`."""
    folder = locate_patch(source)
    spec = read_spec(folder)
    if spec.base.token_dim != model.record.token_dim:
        raise InputError(
            f"{folder}: made for base {spec.base.name!r} of width {spec.base.token_dim}, "
            f"not for {model.record.name!r} of width {model.record.token_dim}"
        )
    if spec.base.model_type != model.record.model_type:
        logger.warning("%s: made for a %s, put on a %s", folder, spec.base.model_type, model.record.model_type)
    if name is None:
        name = spec.patch.channel if spec.patch is not None else "lora_only"
    patch_state = _read_tensors(folder / WEIGHTS_FILE) if spec.patch is not None else {}
    lora_state = _read_lora(folder, spec) if spec.lora is not None else {}
    trained = [other for other, lora in model.specs.items() if _is_trained(model, other)]
    model.add_patch(name, spec.patch, spec.lora, read_preprocessing(folder))
    try:
        if spec.patch is not None:
            patch = model.patches[name]
            _check_tensors(patch_state, patch.state_dict(), folder / WEIGHTS_FILE)
            dtype = next(iter(patch_state.values())).dtype
            patch.to(dtype).load_state_dict(patch_state)
        if spec.lora is not None:
            _check_tensors(lora_state, model.lora.state(name), folder / LORA_FOLDER / LORA_WEIGHTS_FILE)
            model.lora.load_state(name, lora_state)
    except InputError:
        model.remove_patch(name)
        raise
    model.specs[name] = replace(model.specs[name], training=spec.training)
    model.set_trainable([*trained, name] if trainable else trained)
    return name


def _is_trained(model: PaveModel, name: str) -> bool:
    return name in model.lora.trainable or (
        name in model.patches and any(weight.requires_grad for weight in model.patches[name].parameters())
    )


def _read_lora(folder: Path, spec: PatchSpec) -> dict[str, Tensor]:
    assert spec.lora is not None
    path = folder / LORA_FOLDER / LORA_CONFIG_FILE
    config = read_json(path)
    for key, value in (("r", spec.lora.r), ("lora_alpha", spec.lora.alpha)):
        if config.get(key) != value:
            raise InputError(f"{path}: {key} is {config.get(key)}, but {CONFIG_FILE} says {value}; one was edited")
    return _read_tensors(folder / LORA_FOLDER / LORA_WEIGHTS_FILE)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; the patch folder is incomplete")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged or truncated ({error})") from None


def _check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    for key in wanted:
        if key not in found:
            raise InputError(f"{path}: tensor {key!r} is missing")
    for key, value in found.items():
        if key not in wanted:
            raise InputError(f"{path}: unexpected tensor {key!r}{nearest(key, wanted)}")
        if value.shape != wanted[key].shape:
            shapes = f"{tuple(value.shape)}, the configuration asks for {tuple(wanted[key].shape)}"
            raise InputError(f"{path}: tensor {key!r} has shape {shapes}")
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: tensor {key!r} holds NaN or infinity")


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")


__all__ = ["FORMAT_VERSION", "load_patch", "locate_patch", "read_preprocessing", "read_spec", "save_patch"]
