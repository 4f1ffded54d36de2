"""ScanQA and SQA3D: cleaning, and where four projects differ over the same answers."""

from __future__ import annotations

import pytest

from pave.evaluation.conventions import Scored, get
from pave.evaluation.conventions.scanqa import (
    cleaned_exact,
    cleaned_refined,
    exact,
    leo_exact,
    official_scores,
    unigram_f,
)
from pave.evaluation.conventions.sqa3d import lenient
from pave.evaluation.conventions.text import clean_answer
from pave.evaluation.conventions.wordnet import noun_lemma

from .samples import needs_java, scored, several


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  The TV. ", "TV"),
        ("it’s an old chai", "its old chair"),
        ("0 or none", "zero or zero"),
        ("at 5 o'   clock", "at five o'clock"),
        ("two \n", "two\n"),
        ("a a the table", "a table"),
        ("chair3 of room12", "chair of room12"),
    ],
)
def test_cleaning(text: str, cleaned: str) -> None:
    assert clean_answer(text) == cleaned


def test_leo_stops_at_the_first_match_and_pave_does_not() -> None:
    assert not leo_exact("chair", ["brown chair", "chair"])
    assert cleaned_exact("chair", ["brown chair", "chair"])
    assert leo_exact("chair", ["table", "chair", "brown chair"])


def test_raw_equality_counts_case_and_full_stop() -> None:
    assert exact("Chair.", ["Chair."])
    assert not exact("Chair.", ["chair"])


def test_refined_ignores_white_space() -> None:
    assert cleaned_refined("table top", ["the wooden tabletop"])
    assert not cleaned_refined("desk", ["table"])


@pytest.mark.parametrize(
    ("word", "lemma"),
    [
        ("chairs", "chair"),
        ("Chairs", "Chairs"),
        ("shelves", "shelf"),
        ("boxes", "box"),
        ("women", "woman"),
        ("geese", "goose"),
        ("glass", "glass"),
        ("glasses", "glass"),
        ("us", "u"),
        ("qwertys", "qwertys"),
    ],
)
def test_lemmas_of_nouns(word: str, lemma: str) -> None:
    assert noun_lemma(word) == lemma


def test_unigram_f_counts_repeated_words_each_time() -> None:
    assert unigram_f("bed bed lamp", ["bed"]) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert unigram_f("", ["bed"]) == 0.0


def test_the_first_of_ten_answers_counts_for_em() -> None:
    assert official_scores(["table", "chair"], ["chair"]) == (0.0, 1.0, 0.0)
    assert official_scores([*["table"] * 10, "chair"], ["chair"]) == (0.0, 0.0, 0.0)


@needs_java
def test_four_conventions_differ_on_the_same_answers() -> None:
    samples = several(
        [
            ("chair", ["brown chair", "chair"]),
            ("A desk.", ["desk"]),
            ("left of the table, near it", ["left of table near it"]),
            ("two lamps", ["2 lamps"]),
        ]
    )
    em = {
        name: get("scanqa", name).score(samples)["em"].value
        for name in ("pave-reference", "leo", "video3d", "official")
    }
    assert em == {"pave-reference": 75.0, "leo": 50.0, "video3d": 25.0, "official": 25.0}
    metrics = get("scanqa", "official").score(samples)
    assert list(metrics)[:2] == ["em", "f_value"]
    cider = {name: get("scanqa", name).score(samples)["cider"].value for name in em}
    assert len({round(value, 3) for value in cider.values()}) == 4


@pytest.mark.parametrize("name", ["pave-reference", "leo", "video3d", "official"])
def test_an_empty_answer_is_wrong_whatever_the_source_makes_of_it(name: str) -> None:
    samples = [scored(" ", "chair", name="a"), scored("chair", "chair", name="b")]
    metrics = get("sqa3d", name).score(samples)
    assert {metric.value for metric in metrics.values()} == {50.0}


def test_the_official_sqa3d_script_takes_a_shared_word() -> None:
    assert lenient("the right side", "left side")
    assert not lenient("tv", "tv")
    samples = [scored("the right side", "left side")]
    assert get("sqa3d", "official").score(samples)["em"].value == 100.0
    assert get("sqa3d", "pave-reference").score(samples)["em_refined"].value == 0.0


def test_video3d_reports_no_refined_match_for_sqa3d() -> None:
    assert list(get("sqa3d", "video3d").score([Scored("q", "The TV", ("tv",), {})])) == ["em"]
