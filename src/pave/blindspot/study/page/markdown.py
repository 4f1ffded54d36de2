"""Pieces of a Markdown page: tables whose rows can be pointed to, and numbers that always come with their row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pave.blindspot.study.rows import Row, Score, Study

NOT_RUN = "not run"
NONE = "–"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def anchor(study: Study, row: Row) -> str:
    """Return the name of a row that can be pointed to."""
    return f"{study.name}-{row.name}".replace("=", "-").replace(",", "-").replace("_", "-").replace(".", "-")


def target(study: Study, row: Row, text: str) -> str:
    """Return a cell that can be pointed to."""
    return f'<a id="{anchor(study, row)}"></a>{text}'


def pointer(study: Study, row: Row) -> str:
    """Return a pointer to a row."""
    return f"[{row.name}](#{anchor(study, row)})"


def percent(score: Score | None) -> str:
    """Return an accuracy with its interval."""
    if score is None:
        return NOT_RUN
    low, high = score.interval
    return f"{100 * score.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def points(score: Score) -> str:
    """Return a difference with its interval."""
    low, high = score.interval
    return f"{signed(score.value)} points ({signed(low)} to {signed(high)})"


def signed(share: float) -> str:
    """Return a difference of shares in points, with its sign."""
    # What rounds to nothing has no sign.
    value = round(100 * share, 1) + 0.0
    return f"{value:+.1f}".replace("-", "−") if value else "0.0"


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with its thousands apart."""
    return NONE if value is None else f"{value:,.{digits}f}"


def seeds(row: Row) -> str:
    """Return how many of a row's runs are there."""
    return f"{len(row.found)} of {len(row.runs)}"


def each_seed(row: Row, evaluation: str) -> str:
    """Return the accuracy of each of a row's runs, and how many of them are there where some lack."""
    score = row.score(evaluation)
    if score is None:
        return seeds(row)
    told = ", ".join(f"{100 * value:.1f}" for value in score.seeds)
    return told if len(row.found) == len(row.runs) else f"{told} ({seeds(row)})"


def named_seeds(seeds: Sequence[str]) -> str:
    """Return seeds that are left out of a comparison, since something had not learned in them."""
    return f"seed{'s' if len(seeds) > 1 else ''} {listed(seeds)}, in which one of the two has not learned"


def ran_on(measured: Mapping[str, Any]) -> str:
    """Return what a benchmark ran on."""
    device = "the CPU" if measured["device"] == "cpu" else measured["device"]
    return f"{device}, {measured['threads']} threads"


def listed(items: Sequence[str]) -> str:
    """Return items as an enumeration."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
