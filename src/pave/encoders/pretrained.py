"""Models of transformers that encoders load: by hub id or folder, whole, frozen, and told apart by their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig

from pave.errors import InputError, first_line, nearest

HASHED_SUFFIXES = (".safetensors", ".bin", ".json")


@dataclass(frozen=True)
class Pretrained:
    """A model that is not loaded yet.

    Args:
        encoder: Who asks, for error messages.
        model: Hub id or folder.
        revision: Branch, tag or commit on the hub.
    """

    encoder: str
    model: str
    revision: str | None = None

    def load(self, loader: Any, **options: Any) -> Any:
        """Return what a loader such as ``AutoConfig`` makes of it.

        Raises:
            InputError: If it cannot be read.
        """
        try:
            return loader.from_pretrained(self.model, revision=self.revision, **options)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"{self.encoder}: model {self.model!r} cannot be read ({first_line(error)}); name a hub id or a folder"
            ) from None

    def config(self, known: Collection[str]) -> PretrainedConfig:
        """Return its configuration.

        Raises:
            InputError: If it cannot be read, or its type is not among those known.
        """
        config = self.load(AutoConfig)
        if config.model_type not in known:
            raise InputError(
                f"{self.encoder}: {self.model} is of type {config.model_type!r}; known: {', '.join(known)}"
                f"{nearest(config.model_type, known)}"
            )
        return config

    def weights(
        self,
        part_of: Callable[[nn.Module], nn.Module],
        dtype: str,
        device: str,
        unused: tuple[str, ...] = (),
        loader: Any = AutoModel,
    ) -> nn.Module:
        """Return the whole model, of which one part is made ready to use: frozen, in evaluation, on its device.

        Args:
            part_of: From the model to the part.
            dtype: Such as ``bfloat16``.
            device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.
            unused: Ends of the names of weights that the part may lack.
            loader: Such as ``AutoModel``.

        Raises:
            InputError: If the model cannot be read, or lacks weights of the part.
        """
        model, report = self.load(loader, dtype=getattr(torch, dtype), output_loading_info=True)
        module = part_of(model)
        names = {id(weight): name for name, weight in model.named_parameters()}
        used = {names[id(weight)] for weight in module.parameters()}
        missing = sorted(name for name in used & set(report["missing_keys"]) if not name.endswith(unused))
        if missing:
            raise InputError(
                f"{self.encoder}: {self.model} lacks {len(missing)} weights, first {missing[0]}; name another"
            )
        module.requires_grad_(False).eval().to(device_of(device))
        return model

    def identity(self, config: PretrainedConfig) -> str:
        """Return the commit on the hub, or a hash of the folder's files."""
        folder = Path(self.model)
        if not folder.is_dir():
            return str(getattr(config, "_commit_hash", None) or self.revision or "main")
        digest = hashlib.sha256()
        for file in sorted(folder.iterdir()):
            if file.suffix in HASHED_SUFFIXES:
                digest.update(file.name.encode())
                with file.open("rb") as content:
                    while chunk := content.read(1 << 20):
                        digest.update(chunk)
        return digest.hexdigest()


def check_device(encoder: str, device: str) -> None:
    """Check the name of a device.

    Raises:
        InputError: If it is none.
    """
    if device != "auto":
        try:
            torch.device(device)
        except RuntimeError:
            raise InputError(f"{encoder}: device {device!r} is none; write auto, cpu, cuda or cuda:N") from None


def device_of(device: str) -> torch.device:
    """Return the device of a name; of ``auto`` a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
