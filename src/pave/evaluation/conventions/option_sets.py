"""WorldSense, OmniBench and EgoSchema: choices by letter, accuracy in percent, three parsers of lmms-eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pave.evaluation.conventions.convention import Convention, Scored
from pave.evaluation.conventions.letters import ALPHABET
from pave.evaluation.conventions.multiple_choice import PAVE_SOURCE, choices_of, letter_score, pave_letter

LONG = 5
"""Words above which a text without a letter is searched for the text of a choice."""


def worldsense_letter(text: str, options: Mapping[str, str]) -> str:
    """Return the letter that lmms-eval reads; "A" if it finds none.

    Source: lmms-eval ``tasks/worldsense/utils.py``. A letter inside a word counts. Of several the last "(X)" is taken,
    and if none stands in brackets the first of the options.
    """
    text = _padded(text)
    found = [letter for letter in options if letter in text]
    if found:
        return max(found, key=lambda letter: text.rfind(f"({letter})"))
    held = _held(text, options)
    return max(held, key=lambda letter: text.lower().rfind(options[letter].lower())) if held else "A"


def omnibench_letter(text: str, letters: Sequence[str] = "ABCD") -> str | None:
    """Return the letter that lmms-eval reads, ``None`` if it finds none.

    Source: lmms-eval ``tasks/omni_bench/utils.py``: "(X)", else "X " (inside words too), else "X."; the last of
    several.
    """
    text = f" {text.strip()} "
    for form, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            return max(found, key=lambda letter, place=place: text.rfind(place.format(letter)))  # type: ignore[misc]
    return None


def egoschema_letter(text: str, options: Mapping[str, str]) -> str:
    """Return the letter that lmms-eval reads, "" where it would guess at random.

    Source: lmms-eval ``tasks/egoschema/utils.py``: of all "(X)", "X " (inside words too) and "X." the one whose last
    place comes first; else the text of a choice.
    """
    text = _padded(text)
    forms = [
        (form.format(letter), letter)
        for form in ("({})", "{} ", "{}.")
        for letter in options
        if form.format(letter) in text
    ]
    if forms:
        return min(forms, key=lambda form: text.rfind(form[0]))[1]
    return min(_held(text, options), key=lambda letter: text.lower().rfind(options[letter].lower()), default="")


def _padded(text: str) -> str:
    for mark in ",.!?;:'":
        text = text.strip(mark)
    return f" {text} "


def _held(text: str, options: Mapping[str, str]) -> list[str]:
    if len(text.split()) <= LONG:
        return []
    return [letter for letter, option in options.items() if option.lower() in text.lower()]


def _with_options(read: Callable[[str, Mapping[str, str]], str]) -> Callable[[Scored], str]:
    return lambda sample: read(sample.prediction, dict(zip(ALPHABET, choices_of(sample), strict=False)))


def _omnibench(sample: Scored) -> str:
    return omnibench_letter(sample.prediction, ALPHABET[: len(choices_of(sample))]) or ""


def _conventions(source: str, read: Callable[[Scored], str]) -> dict[str, Convention]:
    return {
        "lmms-eval": Convention("lmms-eval", source, letter_score(read)),
        "pave": Convention("pave", PAVE_SOURCE, letter_score(pave_letter)),
    }


CONVENTIONS: Mapping[str, Mapping[str, Convention]] = {
    "worldsense": _conventions(
        "lmms-eval tasks/worldsense/utils.py: any letter anywhere, A if there is none",
        _with_options(worldsense_letter),
    ),
    "omnibench": _conventions("lmms-eval tasks/omni_bench/utils.py", _omnibench),
    "egoschema": _conventions(
        "lmms-eval tasks/egoschema/utils.py, with no answer where it guesses", _with_options(egoschema_letter)
    ),
}
