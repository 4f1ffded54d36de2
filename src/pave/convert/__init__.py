"""Checkpoints, features and annotations of the reference project, into this one and back.

Its modules load on first use: ``pave.convert.reference.patch_from_state`` needs no import of its own.
"""

from __future__ import annotations

import importlib
from types import ModuleType

_MODULES = ("annotations", "base", "reference", "to_reference")


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return importlib.import_module(f"pave.convert.{name}")
    raise AttributeError(f"module 'pave.convert' has no attribute {name!r}")
