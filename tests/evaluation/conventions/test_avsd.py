"""AVSD: what the stop-word filters of the challenges do to the same answers."""

from __future__ import annotations

import pytest

from pave.evaluation.conventions import get
from pave.evaluation.conventions.avsd import dstc7_filter, dstc10_filter, iou1, iou2

from .samples import needs_java, several

ANSWERS = [
    ("there is a man on a couch .", ["there is a man on the couch", "yes a man", "a man , i think"]),
    ("no , he stays in a room .", ["no , he does not leave", "he stays in a room", "no"]),
    ("it is a brown bag .", ["it is a brown bag", "a bag", "the bag is brown"]),
]


def test_filters() -> None:
    assert dstc7_filter("yes , i see a dog .") == "yes see dog"
    assert dstc10_filter("yes , i see a dog .") == "yes i see a dog"


@needs_java
def test_conventions_order_as_the_filters_and_references_make_them() -> None:
    samples = several(ANSWERS)
    cider = {
        name: get("avsd", name).score(samples)["cider"].value for name in ("dstc7-8", "dstc8", "dstc10", "no-filter")
    }
    assert cider["dstc7-8"] < cider["dstc8"]
    assert cider["dstc8"] == pytest.approx(cider["dstc10"]) == pytest.approx(cider["no-filter"])
    single = get("avsd", "single-reference").score(samples)
    assert next(iter(single)) == "cider"
    first = get("avsd", "no-filter").score(several([(text, of[:1]) for text, of in ANSWERS]))
    assert single["bleu1"].value == pytest.approx(100 * first["bleu1"].value)


def test_overlap_of_intervals() -> None:
    references = {"a": [[0.0, 10.0], [20.0, 30.0]], "b": [[5.0, 6.0]]}
    assert iou1({}, references) == iou2({}, references) == 0.0
    assert iou1(references, references) == pytest.approx(1.0)
    assert iou2(references, references) == pytest.approx(1.0)
    assert iou1({"a": [[0.0, 5.0]]}, {"a": [[0.0, 10.0]]}) == pytest.approx(0.5)
    assert iou2({"a": [[5.0, 15.0]]}, {"a": [[0.0, 10.0]]}) == pytest.approx(1 / 3)
    assert iou1({}, {}) == iou2({}, {}) == 0.0
