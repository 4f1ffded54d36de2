"""One item of a feature store: tensors in the store's float type, what they were made of, and their checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pave.errors import InputError

Dtype = Literal["fp32", "bf16", "fp16"]

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FEATURE, EXACT = "feature.", "exact."
"""What a tensor's name in a file starts with: kept in the store's float type, or as it is."""


@dataclass(frozen=True)
class Item:
    """What is stored under one key.

    Args:
        features: Float tensors, kept in the store's float type and given back in their own.
        exact: Tensors that are kept as they are, such as times.
        about: What it was made of, as plain JSON types; its hash is the key.
    """

    features: Mapping[str, Tensor]
    exact: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Hash of what it was made of."""
        return key_of(self.about)


@dataclass(frozen=True)
class Packed:
    """An item as files hold it.

    Args:
        tensors: By their names in a file.
        entry: Everything else, as plain JSON types: names, the features' own float types, ``about``, the checksum.
    """

    tensors: dict[str, Tensor]
    entry: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def is_sound(self, key: str) -> bool:
        """Whether tensors and entry are those that were written under ``key``."""
        return self.entry.get("sha256") == _digest(key, self.tensors, self.entry)

    def unpack(self) -> Item:
        """Return the item, its features in their own float type again."""
        own = self.entry["dtypes"]
        features = {name: self.tensors[FEATURE + name].to(getattr(torch, own[name]), copy=True) for name in own}
        exact = {
            name.removeprefix(EXACT): tensor.clone() for name, tensor in self.tensors.items() if name.startswith(EXACT)
        }
        return Item(features, exact, self.entry["about"])


def pack(item: Item, dtype: Dtype) -> Packed:
    """Return an item as it is written to a store of float type ``dtype``.

    Raises:
        InputError: If a feature is NaN or infinite, or becomes so in that type.
    """
    tensors = {EXACT + name: _own(tensor) for name, tensor in item.exact.items()}
    for name, tensor in item.features.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"feature {name!r} holds NaN or infinity; mend the encoder")
        lowered = _own(tensor.to(DTYPES[dtype]))
        if not torch.isfinite(lowered).all():
            largest = tensor.abs().max().item()
            raise InputError(f"feature {name!r} holds {largest:g}, too large for {dtype}; use a store of bf16 or fp32")
        tensors[FEATURE + name] = lowered
    own = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in sorted(item.features.items())}
    entry = {"about": dict(item.about), "dtypes": own, "tensors": sorted(tensors)}
    return Packed(tensors, {**entry, "sha256": _digest(item.key, tensors, entry)})


def key_of(about: Mapping[str, Any]) -> str:
    """Return the key of an item: the SHA-256 of what it is made of, in hexadecimal."""
    return hashlib.sha256(_canonical(about)).hexdigest()


def _own(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU that shares its memory with no other tensor, as files ask."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _digest(key: str, tensors: Mapping[str, Tensor], entry: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in entry.items() if name != "sha256"}
    digest = hashlib.sha256(_canonical([key, rest]))
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]))
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
