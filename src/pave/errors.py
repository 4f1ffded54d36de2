"""The one exception that means "the user's input is wrong"; the command line turns it into exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: one line that says what is wrong, where, and what to write instead."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, without its full stop, to stand in one of our own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to ``name``, or an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
