"""The tensors of a checkpoint in safetensors files, known by their headers and read one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pave.config import read_json
from pave.errors import InputError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor that lies in a file.

    Args:
        file: The file.
        name: Its name there.
        shape: Its shape.
    """

    file: Path
    name: str
    shape: tuple[int, ...]

    def read(self) -> Tensor:
        """Return the tensor.

        Raises:
            InputError: If it holds NaN, infinity or anything but floats.
        """
        with safe_open(self.file, framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(self.name)
        if not tensor.is_floating_point():
            raise InputError(f"{self.file}: tensor {self.name!r} is {tensor.dtype}; weights must be floats")
        if not torch.isfinite(tensor).all():
            raise InputError(f"{self.file}: tensor {self.name!r} holds NaN or infinity")
        return tensor


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a folder by name: of its one safetensors file, or of the files that its index lists.

    Raises:
        InputError: If there are none, a file is missing or damaged, or files and index disagree.
    """
    if (folder / SINGLE_FILE).is_file():
        return _header(folder / SINGLE_FILE)
    index = folder / INDEX_FILE
    if not index.is_file():
        raise InputError(f"{folder}: holds neither {SINGLE_FILE} nor {INDEX_FILE}; give a checkpoint in safetensors")
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(file, str) for file in listed.values()):
        raise InputError(f"{index}: holds no weight_map of tensor names to files")
    files = sorted(set(listed.values()))
    for file in files:
        if Path(file).name != file:
            raise InputError(f"{index}: lists {file!r}, which is not a file of its own folder")
        if not (folder / file).is_file():
            raise InputError(f"{folder / file}: no such file, though {INDEX_FILE} lists it; copy the whole checkpoint")
    found: dict[str, StoredTensor] = {}
    for file in files:
        for name, tensor in _header(folder / file).items():
            if listed.get(name) != file:
                raise InputError(f"{folder / file}: tensor {name!r} is not listed for this file in {INDEX_FILE}")
            found[name] = tensor
    for name, file in listed.items():
        if name not in found:
            raise InputError(f"{folder / file}: tensor {name!r} is missing, though {INDEX_FILE} lists it")
    return found


def _header(file: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {
                name: StoredTensor(file, name, tuple(opened.get_slice(name).get_shape())) for name in opened.keys()
            }
    except SafetensorError as error:
        raise InputError(f"{file}: damaged or truncated ({error}); copy it again") from None
