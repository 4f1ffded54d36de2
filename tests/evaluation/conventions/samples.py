"""Answered samples for tests."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from pave.evaluation.conventions import Scored

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="caption scores need Java on PATH")


def scored(prediction: str, *references: str, name: str = "q", **fields: Any) -> Scored:
    return Scored(name, prediction, references, fields)


def several(pairs: list[tuple[str, list[str]]], **fields: Any) -> list[Scored]:
    return [Scored(f"q{number}", text, tuple(of), fields) for number, (text, of) in enumerate(pairs)]
