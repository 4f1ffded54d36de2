"""Of every convention: order never matters, scores stay in range, rows add up, resampling is scoring anew."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.evaluation import conventions
from pave.evaluation.conventions import Convention, Scored

CHOICES = ["dog", "train", "rain", "4"]
ANSWERS = st.sampled_from(
    [
        "A",
        "B.",
        "(C)",
        "dog",
        "The answer is D",
        "no",
        "piano",
        "one",
        "Novice",
        "Late Expert",
        "4",
        "",
        " ",
        "a dog",
        "@",
    ]
)
REFERENCES = st.sampled_from(["dog", "A", "no", "one", "Novice", "Late Expert", "4"])
CATEGORIES = st.sampled_from(["object_rel_direction_easy", "object_rel_direction_hard", "route_planning", "count"])
SAMPLES = st.lists(st.tuples(ANSWERS, REFERENCES, CATEGORIES), min_size=1, max_size=12)

ALL = [
    pytest.param(conventions.get(family, name), id=f"{family}-{name}")
    for family in conventions.families()
    for name in conventions.names(family)
    if family not in ("scanqa", "avsd")  # captions; see test_captions
]


def samples_of(drawn: list[tuple[str, str, str]]) -> list[Scored]:
    return [
        Scored(str(number), text, (reference,), {"choices": CHOICES, "category": category, "question": "What is it?"})
        for number, (text, reference, category) in enumerate(drawn)
    ]


@pytest.mark.parametrize("convention", ALL)
@given(drawn=SAMPLES, seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_every_convention(convention: Convention, drawn: list[tuple[str, str, str]], seed: int) -> None:
    samples = samples_of(drawn)
    metrics = convention.score(samples)
    shuffled = random.Random(seed).sample(samples, len(samples))
    again = convention.score(shuffled)
    picked = np.random.default_rng(seed).integers(len(samples), size=len(samples))
    resampled = convention.score([Scored(str(n), *_rest(samples[index])) for n, index in enumerate(picked)])
    assert list(metrics) == list(again)
    for name, metric in metrics.items():
        assert metric.rows.shape[0] == len(samples)
        assert math.isnan(metric.value) or 0.0 <= metric.value <= 100.0
        assert again[name].value == pytest.approx(metric.value, nan_ok=True)
        assert metric.combine(metric.rows.sum(axis=0)) == pytest.approx(metric.value, nan_ok=True)
        drawn_again = metric.combine(metric.rows[picked].sum(axis=0))
        assert drawn_again == pytest.approx(resampled[name].value, nan_ok=True)


@pytest.mark.parametrize("convention", ALL)
def test_empty_answers_never_score(convention: Convention) -> None:
    samples = samples_of([("", "dog", "route_planning"), ("\n ", "A", "count")])
    for name, metric in convention.score(samples).items():
        assert metric.value == 0.0 or math.isnan(metric.value), name


def _rest(sample: Scored) -> tuple[str, tuple[str, ...], dict[str, object]]:
    return sample.prediction, sample.references, dict(sample.fields)
