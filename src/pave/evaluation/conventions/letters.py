"""Letters of a multiple choice, read from free text: the parsers of other projects, one for one."""

from __future__ import annotations

import re
from collections.abc import Sequence

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

LMMS_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
"""Phrases that lmms-eval 0.2 and 0.3 delete; the last two are four that lack their commas, and never match."""

VLMEVALKIT_PREFIXES = (*LMMS_PREFIXES, "Answer:", "Option:")

VIDEO_MME_PREFIXES = (*VLMEVALKIT_PREFIXES, "The correct answer", "The correct option")

ANSWER_PHRASES = (
    *("the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is"),
    *("best answer is", "the correct option is", "correct option is", "the best option is", "best option is"),
    *("the choice is", "choice is", "the correct choice is", "correct choice is", "i choose", "i select", "i pick"),
    *("my answer is", "my choice is", "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
"""Phrases after which lmms-eval since 0.7 looks for a letter."""

MVBENCH_MARKS = ';/[]"{}()=+\\_-><@`,?!'
"""Punctuation that lmms-eval's MVBench matcher takes away, in its order."""


def first_letter(text: str, prefixes: Sequence[str]) -> str:
    """Return the first character of A to D anywhere in a text, once the prefixes are deleted, or "".

    Sources: thanku-all/parse_answer ``eval_your_results.py`` (:data:`VIDEO_MME_PREFIXES`), VLMEvalKit
    (:data:`VLMEVALKIT_PREFIXES`), lmms-eval 0.2 and 0.3 ``tasks/videomme/utils.py`` (:data:`LMMS_PREFIXES`). A letter
    inside a word counts: "Both" is B, "Answer" is A where it is not deleted.
    """
    text = text.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    return next((character for character in text if character in "ABCD"), "")


def ranked_letter(text: str, letters: Sequence[str] = "ABCD") -> str:
    """Return the letter that stands in the most telling form, the later of equals, or "".

    Source: lmms-eval 0.7 (2026-04-11) ``tasks/_task_utils/mcq_extract.py``. First comes a letter that starts the text,
    then one that ends it, one after a phrase such as "answer is", "(X)", "X.", "X:", "X)", "X " (inside words too, so
    that "Not" after an N counts), and if there is none of these any occurrence.
    """
    if not text.strip():
        return ""
    bare = text.strip()
    for mark in ",.!?;:'\"":
        bare = bare.strip(mark)
    padded, bare = f" {bare} ", bare.strip()
    found = [*_formed(padded, letters), *_after_phrases(padded, letters)]
    found += [(10, 0, x) for x in letters if bare.startswith(x) and not bare[1:2].isalpha()]
    found += [(9, len(padded) - 1, x) for x in letters if bare.endswith(x) and not bare[-2:-1].isalpha()]
    found = found or [(0, padded.rfind(x), x) for x in letters if x in padded]
    return max(found, key=lambda candidate: candidate[:2])[2] if found else ""


def _formed(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    forms = ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} "))
    return [
        (rank, text.rfind(form.format(letter)), letter)
        for rank, form in forms
        for letter in letters
        if form.format(letter) in text
    ]


def _after_phrases(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    lower = text.lower()
    ends = [lower.find(phrase) + len(phrase) for phrase in ANSWER_PHRASES if phrase in lower]
    return [(7, text.find(letter, end), letter) for end in ends for letter in letters if letter in text[end:]]


def before_bracket(text: str) -> str:
    """Return the character before the first ")", or the whole text if there is none.

    Source: JUNJIE99/MLVU ``evaluation/multiple_choice_evaluation/choice_bench.py``; lmms-eval 0.2 and 0.3 strip first.
    """
    end = text.find(")")
    return text if end < 0 else text[max(end - 1, 0) : end]


def option_token_match(prediction: str, reference: str) -> bool:
    """Whether the first word of an answer is part of the first word of "(A) …", or that of it; case aside.

    Source: OpenGVLab/Ask-Anything ``video_chat2/mvbench.ipynb`` ``check_ans``. "", "(" and ")" are part of any.
    """
    ours, theirs = prediction.lower().split(" ")[0], reference.lower().split(" ")[0]
    return ours.replace(".", "") in theirs or theirs in ours


def mvbench_reading(text: str) -> str:
    """Return the letter, or else the text, that lmms-eval's MVBench matcher compares.

    Source: lmms-eval ``tasks/mvbench/utils.py`` ``mcq_acc``, the same in 0.2 to 0.7. After marks are gone it takes the
    first letter A to E that is a word of its own, so that the article "a" is answer A.
    """
    lettered = re.fullmatch(r"([A-E])\.\s*.+", text.strip(), re.IGNORECASE)
    if lettered:
        return lettered[1].upper()
    text = _without_marks(text.replace("\n", " ").replace("\t", " ").strip())
    for mark in "'\")(":
        text = text.strip(mark)
    text = text.strip().lower()
    letter = re.search(r"\b[a-e]\b", text, re.IGNORECASE)
    return letter[0].upper() if letter else text


def _without_marks(text: str) -> str:
    thousands = re.search(r"\d,\d", text) is not None
    bare = text
    for mark in MVBENCH_MARKS:
        touches_space = f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if touches_space or thousands else " ")
    return re.sub(r"\.(?!\d)", "", bare, count=int(re.UNICODE))
