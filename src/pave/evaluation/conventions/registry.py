"""Conventions by benchmark and name, imported when they are first asked for."""

from __future__ import annotations

import importlib

from pave.errors import InputError, nearest
from pave.evaluation.conventions.convention import Convention

_HERE = "pave.evaluation.conventions"
_TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "scanqa": ("scanqa", ("pave-reference", "leo", "video3d", "official")),
    "sqa3d": ("sqa3d", ("pave-reference", "leo", "video3d", "official")),
    "avsd": ("avsd", ("dstc7-8", "dstc8", "dstc10", "no-filter", "single-reference")),
    "music-avqa": ("music_avqa", ("strict", "reference", "closed-set")),
    "avqa": ("avqa", ("pave", "reference")),
    "ego-exo4d": ("ego_exo4d", ("strict", "reference", "balanced")),
    "video-mme": ("video_mme", ("lmms-eval-0.7", "lmms-eval-0.3", "reference", "official", "vlmevalkit", "pave")),
    "mvbench": ("mvbench", ("lmms-eval", "reference", "official", "vlmevalkit", "pave")),
    "mlvu": ("mlvu", ("lmms-eval-0.7", "lmms-eval-0.3", "reference", "official", "pave")),
    "blindspot": ("blindspot", ("exact",)),
    "vsi-bench": ("vsi_bench", ("official", "lmms-eval")),
    "worldsense": ("option_sets", ("lmms-eval", "pave")),
    "omnibench": ("option_sets", ("lmms-eval", "pave")),
    "egoschema": ("option_sets", ("lmms-eval", "pave")),
}
"""Benchmark to its module, and the names of its conventions, the default first."""


def families() -> tuple[str, ...]:
    """Return the benchmarks that have conventions."""
    return tuple(_TARGETS)


def names(benchmark: str) -> tuple[str, ...]:
    """Return the conventions of a benchmark; the first is its default.

    Raises:
        InputError: If the benchmark is unknown.
    """
    return _target(benchmark)[1]


def get(benchmark: str, name: str) -> Convention:
    """Return a convention of a benchmark.

    Raises:
        InputError: If the benchmark or the convention is unknown; the message lists what exists and the nearest name.
    """
    module, known = _target(benchmark)
    if name not in known:
        raise InputError(
            f"unknown convention {name!r} of {benchmark}; known: {', '.join(known)}{nearest(name, known)}"
        )
    conventions = importlib.import_module(f"{_HERE}.{module}").CONVENTIONS
    found: Convention = conventions[benchmark][name]
    return found


def _target(benchmark: str) -> tuple[str, tuple[str, ...]]:
    if benchmark not in _TARGETS:
        raise InputError(
            f"no conventions for benchmark {benchmark!r}; known: {', '.join(_TARGETS)}{nearest(benchmark, _TARGETS)}"
        )
    return _TARGETS[benchmark]
