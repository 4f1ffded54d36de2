"""The patch folder: written atomically, read strictly, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pave.card import write_card
from pave.config import FORMAT_VERSION, PatchSpec, Preprocessing, from_dict, read_json, to_dict
from pave.errors import InputError, nearest
from pave.lora import adapter_config
from pave.shipped import locate, shipped_patches

CONFIG_FILE = "patch_config.json"
WEIGHTS_FILE = "patch.safetensors"
PREPROCESSING_FILE = "preprocessing.json"
LORA_FOLDER = "lora"
LORA_WEIGHTS_FILE = "adapter_model.safetensors"
LORA_CONFIG_FILE = "adapter_config.json"


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


@dataclass(frozen=True)
class Content:
    """All that a patch folder holds.

    Args:
        spec: What ``patch_config.json`` says.
        patch: Weights of the fusion module by name; empty for a LoRA alone.
        lora: Weights of the LoRA under peft's names; empty where there is none.
        preprocessing: How media become the patch's inputs.
    """

    spec: PatchSpec
    patch: Mapping[str, Tensor]
    lora: Mapping[str, Tensor]
    preprocessing: Preprocessing | None = None


def read_content(folder: Path) -> Content:
    """Read a patch folder; whether its tensors are those that it should hold is checked on a model or module.

    Raises:
        InputError: If a file is missing or damaged, or two of them contradict one another.
    """
    spec = read_spec(folder)
    patch = read_tensors(folder / WEIGHTS_FILE) if spec.patch is not None else {}
    lora = _read_lora(folder, spec) if spec.lora is not None else {}
    return Content(spec, patch, lora, read_preprocessing(folder))


def fill_folder(folder: Path, content: Content) -> None:
    """Write the files of a patch into an empty folder."""
    spec = content.spec
    write_json(folder / CONFIG_FILE, to_dict(spec))
    if content.preprocessing is not None:
        write_json(folder / PREPROCESSING_FILE, to_dict(content.preprocessing))
    if spec.patch is not None:
        save_file(dict(content.patch), folder / WEIGHTS_FILE)
    if spec.lora is not None:
        (folder / LORA_FOLDER).mkdir()
        config = adapter_config(spec.lora, content.lora, spec.base.name)
        write_json(folder / LORA_FOLDER / LORA_CONFIG_FILE, config)
        save_file(dict(content.lora), folder / LORA_FOLDER / LORA_WEIGHTS_FILE, metadata={"format": "pt"})
    write_card(folder, spec, content.preprocessing)


def _read_lora(folder: Path, spec: PatchSpec) -> dict[str, Tensor]:
    assert spec.lora is not None
    path = folder / LORA_FOLDER / LORA_CONFIG_FILE
    config = read_json(path)
    for key, value in (("r", spec.lora.r), ("lora_alpha", spec.lora.alpha)):
        if config.get(key) != value:
            raise InputError(f"{path}: {key} is {config.get(key)}, but {CONFIG_FILE} says {value}; one was edited")
    return read_tensors(folder / LORA_FOLDER / LORA_WEIGHTS_FILE)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        InputError: If it is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the folder is incomplete")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged or truncated ({error})") from None


def check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Check the names, shapes and values of the tensors of a file.

    Raises:
        InputError: If one is missing, unexpected, of another shape than wanted, or not finite; the message names it.
    """
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


def check_finite(content: Content, name: str) -> None:
    """Check that a patch has no weights which loading would refuse.

    Args:
        content: What is to be written.
        name: Name of the patch, for the error message.

    Raises:
        InputError: If a tensor is not finite; the message names it.
    """
    for key, value in {**content.patch, **content.lora}.items():
        if not torch.isfinite(value).all():
            raise InputError(
                f"patch {name!r}: tensor {key!r} holds NaN or infinity and is not saved; go back to weights from "
                "before that, and train on at a lower rate"
            )


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object, its keys sorted."""
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")


__all__ = [
    "FORMAT_VERSION",
    "Content",
    "check_finite",
    "check_tensors",
    "fill_folder",
    "locate_patch",
    "read_content",
    "read_preprocessing",
    "read_spec",
    "read_tensors",
    "write_json",
]
