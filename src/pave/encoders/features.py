"""Side channels as files: reading the formats that people have, and writing this library's own, atomically."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pave.errors import InputError, first_line
from pave.files import whole_file
from pave.media.arrays import read_arrays
from pave.media.container import check_file
from pave.types import SideChannel

KEYS = ("values", "times_sec", "grid")


@dataclass(frozen=True)
class Features:
    """What a feature file holds, unchecked but for its types.

    Args:
        values: (K,N,D) or (K,D).
        times_sec: (K,), or ``None`` if the file has none.
        grid: Rows and columns of the N tokens; (0, 0) if the file has none.
    """

    values: Tensor
    times_sec: Tensor | None
    grid: tuple[int, int]


def read_features(path: Path) -> Features:
    """Read ``.safetensors``, ``.npy``, ``.npz``, ``.pt`` or ``.pth``.

    The file holds one tensor, or tensors named ``values``, ``times_sec`` and ``grid``, of which the first is a must.
    Nothing is unpickled but tensors and plain containers.

    Raises:
        InputError: If the file is missing, empty, damaged, of another format, or holds something else.
    """
    check_file(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown feature format {path.suffix!r}; use one of {', '.join(FORMATS)}")
    content = reader(path)
    if not isinstance(content, Mapping):
        return Features(_tensor(content, "values", path), None, (0, 0))
    unknown = [str(key) for key in content if key not in KEYS]
    if "values" not in content or unknown:
        raise InputError(
            f"{path}: holds {', '.join(map(str, content))}; name its tensors {', '.join(KEYS)} (values is a must)"
        )
    times_sec = _tensor(content["times_sec"], "times_sec", path) if "times_sec" in content else None
    grid = _grid(_tensor(content["grid"], "grid", path), path) if "grid" in content else (0, 0)
    return Features(_tensor(content["values"], "values", path), times_sec, grid)


def save_features(path: Path, side_channel: SideChannel) -> None:
    """Write a side channel atomically: ``.safetensors`` with ``values`` (K,N,D), ``times_sec`` (K,) and ``grid`` (2,).

    Raises:
        InputError: If the name does not end in ``.safetensors`` or its folder does not exist.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: features are written as .safetensors; end the name so")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    tensors = {
        "values": side_channel.values.detach().cpu().contiguous(),
        "times_sec": side_channel.times_sec.contiguous(),
        "grid": torch.tensor(side_channel.grid),
    }
    with whole_file(path) as fresh:
        save_file(tensors, fresh)


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole .safetensors file ({error}); write or copy it again") from None


def _read_numpy(path: Path) -> Any:
    return read_arrays(path)


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: damaged, or holds Python objects, which are never unpickled; save plain tensors with torch.save"
        ) from None
    except Exception as error:
        # A program for the unpickler whose bytes have changed can fail anywhere.
        raise InputError(
            f"{path}: not a whole {path.suffix} file ({first_line(error)}); write or copy it again"
        ) from None


_READERS: dict[str, Callable[[Path], Any]] = {
    ".safetensors": _read_safetensors,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".pt": _read_torch,
    ".pth": _read_torch,
}

FORMATS = tuple(_READERS)
"""Suffixes of the files that :func:`read_features` reads."""


def _tensor(value: Any, key: str, path: Path) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    elif isinstance(value, list | tuple) and all(isinstance(entry, int | float) for entry in value):
        value = torch.tensor(value)
    if not isinstance(value, Tensor):
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise InputError(f"{path}: {key} is {kind}; save a tensor of numbers")
    return value.detach()


def _grid(grid: Tensor, path: Path) -> tuple[int, int]:
    if grid.shape != (2,) or grid.is_floating_point():
        raise InputError(f"{path}: grid has shape {tuple(grid.shape)}; give two whole numbers, rows and columns")
    rows, columns = grid.tolist()
    return (rows, columns)
