"""Patch pretrained Video LLMs with side channels: sound, depth, other cameras, every frame, or any signal.

Public names load on first use, so that ``import pave`` stays light.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pave.config import LoraSpec, PatchConfig, Preprocessing
    from pave.data.processor import PaveProcessor
    from pave.errors import InputError
    from pave.model import PaveModel
    from pave.types import Sample, SideChannel, VideoTokens

__version__ = version("pave")

_HOMES = {
    "InputError": "pave.errors",
    "LoraSpec": "pave.config",
    "PatchConfig": "pave.config",
    "PaveModel": "pave.model",
    "PaveProcessor": "pave.data.processor",
    "Preprocessing": "pave.config",
    "Sample": "pave.types",
    "SideChannel": "pave.types",
    "VideoTokens": "pave.types",
}
_PACKAGES = ("bases", "blindspot", "convert", "data", "encoders", "evaluation", "media", "patches", "training")

__all__ = [
    "InputError",
    "LoraSpec",
    "PatchConfig",
    "PaveModel",
    "PaveProcessor",
    "Preprocessing",
    "Sample",
    "SideChannel",
    "VideoTokens",
    "__version__",
    "bases",
    "blindspot",
    "convert",
    "data",
    "encoders",
    "evaluation",
    "media",
    "patches",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"pave.{name}")
    raise AttributeError(f"module 'pave' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
