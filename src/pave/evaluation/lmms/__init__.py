"""This library inside lmms-eval: a model for any of its tasks, and tasks that it lacks for any of its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TASKS = Path(__file__).parent / "tasks"
"""Folder of task files, for lmms-eval's ``--include_path``; ``python -m pave.evaluation.lmms`` prints it."""


def manifest() -> Any:
    """Return what lmms-eval registers: the target of the entry point ``pave`` in its group ``lmms_eval.models``."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("pave", chat_class_path="pave.evaluation.lmms.model.Pave")
