"""Replays check vectors through the metrics: ``python -m pave.evaluation.vectors FILE``.

A vectors file is a JSON list of rows ``{"benchmark", "convention", "prediction", "references", "expected"}`` under
the names of :data:`pave.evaluation.conventions.replays.REPLAYS`. Every number must hold to the digits given; what is
expected of a row may be part of what a metric returns. The exit code is 1 if a row fails, 2 if the file cannot be
read.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pave.errors import InputError, nearest
from pave.evaluation.conventions.avsd_files import challenge_row
from pave.evaluation.conventions.java import ptb_tokenise
from pave.evaluation.conventions.replays import REPLAYS

ROUNDED_FROM = 4
"""Decimals from which a number is taken as rounded to them; one with fewer lost its last zeros in writing."""

EXACT_DECIMALS = 6
"""Decimals to which a number with fewer than :data:`ROUNDED_FROM` is compared, or fewer if its whole row has fewer."""


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Args:
        benchmark: Of the row.
        convention: Of the row.
        status: ``pass``, ``fail`` or ``left out``.
        reason: What differs, or why it was left out.
    """

    benchmark: str
    convention: str
    status: str
    reason: str = ""


def replay(rows: Sequence[Mapping[str, Any]], files: Path | None = None) -> list[Outcome]:
    """Run every row and compare.

    Args:
        rows: Of a vectors file.
        files: Folder of the challenges' own packages, for rows that name files of them; without it those are left out.
    """
    ptb_tokenise(
        [row["prediction"] for row in rows if row["convention"] == "ptb.tokenize"]
    )  # one start of Java for all
    return [_outcome(row, files) for row in rows]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a vectors file.

    Raises:
        InputError: If it is no list of rows with the keys that they need.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a vectors file") from None
    except ValueError as error:
        raise InputError(f"{path}: is no JSON ({error})") from None
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: must hold a JSON list of rows, at least one")
    for number, row in enumerate(rows):
        missing = [key for key in ("benchmark", "convention", "prediction", "expected") if key not in row]
        if missing:
            raise InputError(f"{path}: row {number} has no {missing[0]!r}")
    return rows


def report(outcomes: Iterable[Outcome]) -> str:
    """Return a line for every convention, then every failure, then the sums."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    reasons = []
    for outcome in outcomes:
        count = counts.setdefault((outcome.benchmark, outcome.convention), {"pass": 0, "fail": 0, "left out": 0})
        count[outcome.status] += 1
        if outcome.reason:
            reasons.append(f"{outcome.status}: {outcome.benchmark} {outcome.convention}: {outcome.reason}")
    lines = [f"{'benchmark':<14} {'convention':<38} {'pass':>5} {'fail':>5} {'left out':>9}"]
    lines += [
        f"{benchmark:<14} {convention:<38} {count['pass']:>5} {count['fail']:>5} {count['left out']:>9}"
        for (benchmark, convention), count in sorted(counts.items())
    ]
    sums = {status: sum(count[status] for count in counts.values()) for status in ("pass", "fail", "left out")}
    return "\n".join([*lines, *dict.fromkeys(reasons), ", ".join(f"{n} {status}" for status, n in sums.items())])


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay the file that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pave.evaluation.vectors", description="Replay check vectors.")
    parser.add_argument("file", type=Path, help="JSON list of check vectors")
    parser.add_argument(
        "--files",
        type=Path,
        help="folder that holds dstc7avsd_eval and dstc8avsd_eval, for rows that name their files",
    )
    options = parser.parse_args(arguments)
    try:
        outcomes = replay(read_rows(options.file), options.files)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(report(outcomes))
    return int(any(outcome.status == "fail" for outcome in outcomes))


def _outcome(row: Mapping[str, Any], files: Path | None) -> Outcome:
    benchmark, convention = row["benchmark"], row["convention"]
    function = REPLAYS.get((benchmark, convention))
    if function is None:
        known = [name for of, name in REPLAYS if of == benchmark]
        return Outcome(benchmark, convention, "left out", f"no such convention here{nearest(convention, known)}")
    if isinstance(row["prediction"], Mapping) and "file" in row["prediction"]:
        if files is None:
            return Outcome(benchmark, convention, "left out", "names files of the challenge; give them with --files")
        row = challenge_row(row, files)
    longest = max(map(_decimals, _numbers(row["expected"])), default=0)
    short = min(EXACT_DECIMALS, longest) if longest >= ROUNDED_FROM else EXACT_DECIMALS
    difference = _difference(row["expected"], function(row), short, "")
    return Outcome(benchmark, convention, "fail" if difference else "pass", difference)


def _difference(expected: Any, found: Any, short: int, place: str) -> str:
    """Return where and how two values differ, or ""; numbers of few digits are compared to ``short`` decimals."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        pairs: Iterable[tuple[str, Any, Any]] = ((key, expected[key], found.get(key)) for key in expected)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = ((str(number), *both) for number, both in enumerate(zip(expected, found, strict=True)))
    elif _is_number(expected) and _is_number(found):
        decimals = _decimals(expected)
        margin = 0.5 * 10 ** -(decimals if decimals >= ROUNDED_FROM else short) + 1e-12
        close = math.isclose(expected, found, rel_tol=1e-9, abs_tol=margin)
        return "" if close else f"{place}: expected {expected}, found {found}".lstrip(": ")
    else:
        return "" if expected == found else f"{place}: expected {expected!r}, found {found!r}".lstrip(": ")
    differences = (_difference(one, other, short, f"{place}.{key}".lstrip(".")) for key, one, other in pairs)
    return next(filter(None, differences), "")


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [number for entry in value.values() for number in _numbers(entry)]
    if isinstance(value, list):
        return [number for entry in value for number in _numbers(entry)]
    return [value] if _is_number(value) else []


def _decimals(number: float) -> int:
    digits, _, exponent = repr(float(number)).partition("e")
    return max(0, len(digits.partition(".")[2].rstrip("0")) - int(exponent or 0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


if __name__ == "__main__":
    sys.exit(main())
