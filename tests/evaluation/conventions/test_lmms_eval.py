"""The same answers through lmms-eval's own functions, where the package (0.7 or later) is installed."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import random
from types import ModuleType

import pytest

from pave.evaluation.conventions.letters import ANSWER_PHRASES, mvbench_reading, ranked_letter
from pave.evaluation.conventions.mvbench import lmms_match
from pave.evaluation.conventions.option_sets import egoschema_letter, omnibench_letter, worldsense_letter
from pave.evaluation.conventions.vsi_bench import any_number, first_token

if importlib.util.find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

WORDS = [
    "A",
    "B",
    "(C)",
    "D.",
    "E:",
    "a",
    "b)",
    "the",
    "answer is",
    "Not",
    "red ball",
    "BAD",
    "3.5",
    "1,000",
    ",",
    "\n",
    '"',
]
WORDS += ["two", "hundred", "and", "option", "|", "'", "!", "-", *ANSWER_PHRASES]
OPTIONS = {"A": "red ball", "B": "blue ball", "C": "the ball", "D": "not a ball"}


def answers(count: int = 3000) -> list[str]:
    rng = random.Random(0)
    return [rng.choice(["", " "]).join(rng.choices(WORDS, k=rng.randint(0, 8))) for _ in range(count)]


def module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def test_ranked_parser() -> None:
    theirs = module("lmms_eval.tasks._task_utils.mcq_extract").extract_mcq_answer
    for text, letters in itertools.product(answers(), ("ABCD", "ABCDEF")):
        assert ranked_letter(text, letters) == theirs(text, list(letters)), text


def test_mvbench() -> None:
    theirs = module("lmms_eval.tasks.mvbench.utils").mcq_acc
    for text in answers():
        for letter in "ABCDE":
            assert lmms_match(text, letter) == theirs(letter, text), (text, mvbench_reading(text))


def test_worldsense() -> None:
    theirs = module("lmms_eval.tasks.worldsense.utils").parse_multi_choice_response
    for text in answers():
        assert worldsense_letter(text, OPTIONS) == theirs(text, list(OPTIONS), OPTIONS), text


def test_omnibench() -> None:
    theirs = module("lmms_eval.tasks.omni_bench.utils").parse_multi_choice_response
    for text in answers():
        assert omnibench_letter(text) == theirs(text, list(OPTIONS)), text


def test_egoschema_but_for_its_guesses() -> None:
    theirs = module("lmms_eval.tasks.egoschema.utils").parse_multi_choice_response
    for text in answers():
        letter, read = theirs(text, list(OPTIONS), OPTIONS)
        assert egoschema_letter(text, OPTIONS) == (letter if read else ""), text


def test_vsi_bench() -> None:
    theirs = module("lmms_eval.tasks.vsibench.utils")
    for text in answers():
        assert first_token(text) == theirs.fuzzy_matching(text)
        assert any_number(text) == theirs.extract_number(text), text
