"""Facts about a run that its results carry: versions, data, sizes."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pave.config import to_dict
from pave.data.jsonl import samples_file
from pave.model import PaveModel
from pave.training.config import TrainConfig
from pave.training.trainer import trained_weights

PACKAGES = ("pave", "torch", "transformers", "peft", "accelerate", "av", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def configuration_of(config: TrainConfig) -> dict[str, Any]:
    """Return a training's configuration in plain JSON types, as ``pave train`` reads it, without the feature store."""
    stamps = ("format_version", "library_version", "store")
    return {name: value for name, value in to_dict(config).items() if name not in stamps}


def data_hash(path: Path) -> str:
    """Return the SHA-256 of a data set's annotations.

    Raises:
        InputError: If there are none.
    """
    return hashlib.sha256(samples_file(path).read_bytes()).hexdigest()


def trained_sizes(model: PaveModel, name: str) -> dict[str, int]:
    """Return the numbers of trained weights, of patch (its final norm included) and LoRA."""
    sizes = {
        part: sum(weight.numel() for weight in weights) for part, weights in trained_weights(model, [name]).items()
    }
    return {"patch": sizes["patch"] + sizes["norm"], "lora": sizes["lora"]}


def loss_curve(history: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return step and mean loss since the entry before, from the trainer's log."""
    return [(int(entry["step"]), float(entry["loss"])) for entry in history if "loss" in entry]
