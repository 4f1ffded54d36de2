"""Exact match after normalisation, of this project's own sets."""

from __future__ import annotations

from collections.abc import Sequence

from pave.evaluation.conventions.convention import Convention, Metric, Scored, mean_metric
from pave.evaluation.metrics import exact_match


def score(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Return the percentage of answers that are one of their references."""
    right = [any(exact_match(sample.prediction, text) for text in sample.references) for sample in samples]
    return {"accuracy": mean_metric(right)}


def _form(sample: Scored) -> str | None:
    form = sample.fields.get("form")
    return None if form is None else str(form)


EXACT = Convention(
    "exact", "this project: lower case, no punctuation, single spaces, then equality; percent", score, group=_form
)
