"""This project's own reading of a multiple-choice answer: a letter where one is meant, never a letter of a word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pave.evaluation.conventions.letters import ALPHABET

_BARE = re.compile(r"[(\[{<\"'“]*([A-Za-z])[)\]}>\"'”]*[.:,;!]?")
_LEADING = re.compile(r"(?:\(([A-Z])\)|\[([A-Z])\]|([A-Z])[.):](?=\s|$))")
_STATED = re.compile(
    r"\b(?i:answer|option|choice|choose|select|pick)(?i:\s+(?:is|would\s+be|should\s+be|must\s+be))?\s*[:=]?\s*"
    r"(?i:(?:the\s+)?(?:option|choice|letter)\s+)?[(\[\"'“]*([A-Za-z])\b"
)
_DENIED = re.compile(r"\b(?i:not|isn't|neither|nor)\s+(?i:(?:option|choice|answer)\s+)?[(\[]?[A-Z]\b[)\]]?")
_ALONE = re.compile(r"(?<![\w'’.-])([A-Z])(?![\w'’-])")
_ARTICLE = re.compile(r"\s+(?!(?:because|since|as|and|or|for|due|is|based)\b)[a-z]")
_LETTERED_CHOICE = re.compile(r"\s*(?:\([A-Z]\)|[A-Z][.):])\s*")


def answer_letter(text: str, choices: Sequence[str]) -> str:
    """Return the letter that an answer means, or "" if it means none or several.

    The answer may be the letter alone in any case and brackets; name it last after "answer", "option" or "choice";
    start with "C." or "(C)"; be a choice's text; hold one capital letter that stands alone and is neither the article
    "A" nor denied; or hold the text of one choice. The first of these that applies decides.

    Args:
        text: The answer.
        choices: Texts of the choices, with or without their letters.
    """
    letters = ALPHABET[: len(choices)]
    text = " ".join(re.sub(r"[*`$]|\\(?:boxed|text)\b", "", text).replace("{", "(").replace("}", ")").split())
    bare = _BARE.fullmatch(text)
    if bare:
        letter = bare[1].upper()
        return letter if letter in letters else ""
    texts = [_words(_LETTERED_CHOICE.sub("", choice, count=1)) for choice in choices]
    return (
        _stated(text, letters)
        or _leading(text, letters)
        or _only([letters[number] for number, choice in enumerate(texts) if choice == _words(text)])
        or _alone(text, letters)
        or _only(_named(_words(text), texts, letters))
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _only(letters: Sequence[str]) -> str:
    return letters[0] if len(set(letters)) == 1 else ""


def _stated(text: str, letters: str) -> str:
    found = [match for match in _STATED.finditer(text) if _is_letter(text, match, letters)]
    return found[-1][1].upper() if found else ""


def _is_letter(text: str, match: re.Match[str], letters: str) -> bool:
    letter, rest = match[1], text[match.end() :]
    if letter.upper() not in letters:
        return False
    if letter.islower():
        return re.fullmatch(r"[)\]\"'”.,:;!]*", rest) is not None
    return letter != "A" or _ARTICLE.match(rest) is None


def _leading(text: str, letters: str) -> str:
    match = _LEADING.match(text)
    letter = next(filter(None, match.groups())) if match else ""
    return letter if letter and letter in letters else ""


def _alone(text: str, letters: str) -> str:
    text = _DENIED.sub(" ", text)
    return _only([match[1] for match in _ALONE.finditer(text) if _is_letter(text, match, letters)])


def _named(text: str, texts: Sequence[str], letters: str) -> list[str]:
    """Return the letters of choices whose words stand in a text, those inside a longer such choice aside."""
    held = [choice for choice in texts if choice and re.search(rf"\b{re.escape(choice)}\b", text)]
    longest = [choice for choice in held if not any(choice != other and choice in other for other in held)]
    return [letter for letter, choice in zip(letters, texts, strict=True) if choice in longest]
