"""Conventions by benchmark and name, imported when they are first asked for."""

from __future__ import annotations

import importlib

from pave.errors import InputError, nearest
from pave.evaluation.conventions.convention import Convention, Metric, Scored

_TARGETS = {"blindspot": {"exact": "pave.evaluation.conventions.exact:EXACT"}}


def names(benchmark: str) -> tuple[str, ...]:
    """Return the conventions of a benchmark; the first is its default.

    Raises:
        InputError: If the benchmark is unknown.
    """
    if benchmark not in _TARGETS:
        raise InputError(
            f"unknown benchmark {benchmark!r}; known: {', '.join(_TARGETS)}{nearest(benchmark, _TARGETS)}"
        )
    return tuple(_TARGETS[benchmark])


def get(benchmark: str, name: str) -> Convention:
    """Return a convention of a benchmark.

    Raises:
        InputError: If the benchmark or the convention is unknown.
    """
    known = names(benchmark)
    if name not in known:
        raise InputError(
            f"unknown convention {name!r} of {benchmark}; known: {', '.join(known)}{nearest(name, known)}"
        )
    module, _, attribute = _TARGETS[benchmark][name].partition(":")
    found: Convention = getattr(importlib.import_module(module), attribute)
    return found


__all__ = ["Convention", "Metric", "Scored", "get", "names"]
