"""BlindSpot, this project's own made world."""

from __future__ import annotations

from collections.abc import Mapping

from pave.evaluation.conventions.accuracy import accuracy_score
from pave.evaluation.conventions.convention import Convention, Scored
from pave.evaluation.metrics import exact_match


def _form(sample: Scored) -> str | None:
    form = sample.fields.get("form")
    return None if form is None else str(form)


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "blindspot": {
        "exact": Convention(
            "exact",
            "this project: equality in lower case, ASCII punctuation and spacing aside; percent",
            accuracy_score(lambda sample: any(exact_match(sample.prediction, text) for text in sample.references)),
            group=_form,
        )
    }
}
