"""Exact match after normalisation: what counts as the same answer, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pave.evaluation.metrics import exact_match, normalised


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [("Red cube.", "red cube"), ("  the\nring ", "the ring"), ("It's 3!", "its 3"), ("YES", "yes"), (" ? ", "?")],
)
def test_same(prediction: str, reference: str) -> None:
    assert exact_match(prediction, reference)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [("a piano", "no"), ("redcube", "red cube"), ("", "yes"), ("yes yes", "yes"), ("+", "-"), ("", "?")],
)
def test_different(prediction: str, reference: str) -> None:
    assert not exact_match(prediction, reference)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
