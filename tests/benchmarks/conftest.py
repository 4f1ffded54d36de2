"""Benchmarks are scripts beside the package, and import each other by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import pave


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(pave.__file__).parents[2] / "benchmarks"))
