"""Named ways of scoring the same answers, several a benchmark, each with where its rule comes from."""

from __future__ import annotations

from pave.evaluation.conventions.convention import Convention, Metric, Scored
from pave.evaluation.conventions.pairing import pair
from pave.evaluation.conventions.registry import families, get, names

__all__ = ["Convention", "Metric", "Scored", "families", "get", "names", "pair"]
