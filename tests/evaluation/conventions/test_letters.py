"""Letters of a multiple choice: this project's reading, where others go wrong."""

from __future__ import annotations

import pytest

from pave.evaluation.conventions.answer_letter import answer_letter
from pave.evaluation.conventions.letters import (
    LMMS_PREFIXES,
    VIDEO_MME_PREFIXES,
    before_bracket,
    first_letter,
    mvbench_reading,
    option_token_match,
    ranked_letter,
)
from pave.evaluation.conventions.option_sets import egoschema_letter, omnibench_letter, worldsense_letter

CHOICES = ["A. Apples.", "B. Red apples.", "C. Berries.", "D. None."]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(c)", "C"),
        ("**D**", "D"),
        (" D. ", "D"),
        ("E", ""),
        ("C. Berries.", "C"),
        ("(C) Berries", "C"),
        ("C) because they are small", "C"),
        ("The answer is b", "B"),
        ("Answer: D", "D"),
        ("Best option: C", "C"),
        ("The correct option is (B).", "B"),
        (r"The answer is \boxed{C}", "C"),
        ("I first thought the answer is A, but the answer is D.", "D"),
        ("The answer is A because B is wrong", "A"),
        ("The answer is a man", ""),
        ("The answer is A man", ""),
        ("A man is holding a dog, so the answer is C", "C"),
        ("Based on the video, the correct choice is D. Apple", "D"),
        ("Both", ""),
        ("Dogs are B", "B"),
        ("Not A, but D", "D"),
        ("A and B", ""),
        ("A man is there", ""),
        ("berries", "C"),
        ("I see berries in the bowl", "C"),
        ("They are red apples", "B"),
        ("They are apples", "A"),
        ("apples and berries", ""),
        ("I do not know", ""),
        ("", ""),
        ("...", ""),
    ],
)
def test_answer_letter(text: str, letter: str) -> None:
    assert answer_letter(text, CHOICES) == letter


def test_answer_letter_takes_choices_with_or_without_letters() -> None:
    assert answer_letter("the train", ["the dog", "the train"]) == "B"
    assert answer_letter("C", ["the dog", "the train"]) == ""
    assert answer_letter("the dog", ["the dog", "the dog"]) == ""


@pytest.mark.parametrize(
    ("text", "old", "official", "new"),
    [
        ("Answer: D", "A", "D", "D"),
        ("Option: C", "C", "C", "C"),
        ("Both", "B", "B", "B"),
        ("Not A, but D", "A", "A", "D"),
        ("the correct option is B", "B", "B", "B"),
        ("정답은 C", "C", "C", "C"),
        ("(A) or (B)", "A", "A", "B"),
        ("D: or A.", "D", "D", "D"),
        ("xAy", "A", "A", "A"),
        (" \n", "", "", ""),
    ],
)
def test_readings_of_video_mme(text: str, old: str, official: str, new: str) -> None:
    assert first_letter(text, LMMS_PREFIXES) == old
    assert first_letter(text, VIDEO_MME_PREFIXES) == official
    assert ranked_letter(text) == new


def test_other_projects_faults_are_kept() -> None:
    assert option_token_match("", "(A) Yes.") and option_token_match(")", "(C) 3.")
    assert before_bracket("I see (1) then A)") == "1"
    assert mvbench_reading("The answer is a C") == "A"
    assert mvbench_reading("1,000 (b)") == "B"


OPTIONS = {"A": "red ball", "B": "blue ball", "C": "green ball", "D": "no ball"}


@pytest.mark.parametrize(
    ("text", "worldsense", "omnibench", "egoschema"),
    [
        ("(A) not (B)", "B", "B", "A"),
        ("B, then D", "B", "D", "D"),
        ("C.", "C", "C", "C"),
        ("it is the blue ball over there", "B", None, "B"),
        ("the red ball and the green ball roll", "C", None, "A"),
        ("nothing", "A", None, ""),
    ],
)
def test_option_sets(text: str, worldsense: str, omnibench: str | None, egoschema: str) -> None:
    assert worldsense_letter(text, OPTIONS) == worldsense
    assert omnibench_letter(text) == omnibench
    assert egoschema_letter(text, OPTIONS) == egoschema
