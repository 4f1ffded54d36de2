"""What ``pave eval`` and ``pave score`` print: tables of scores, of differences, of a probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from pave.cli import console

if TYPE_CHECKING:
    from pave.evaluation.compare import Comparison
    from pave.evaluation.probe import Probe
    from pave.evaluation.result import EvalResult


def print_result(found: EvalResult) -> None:
    """Print the scores of a model."""
    print_scores(found.to_dict(), " + ".join([found.base, *found.patches]))


def print_comparison(found: Comparison) -> None:
    """Print the scores of several models, and their differences."""
    for name, result in found.results.items():
        print_scores(result.to_dict(), name)
    rows = [
        (f"{pair.model} - {pair.than}", pair.metric, *_figures(pair.value, pair.interval))
        for pair in found.differences
    ]
    _print("differences, paired over the same videos", ("", "metric", "difference", "95 % interval"), rows)


def print_probe(found: Probe) -> None:
    """Print what a probe found, and what it says against the patch."""
    rows = []
    for row in found.rows:
        drop = ("", "") if row.drop is None or row.drop_interval is None else _figures(row.drop, row.drop_interval)
        rows.append((row.name, *_figures(row.value, row.interval), *drop, str(row.n)))
    headings = ("channel", found.rows[0].metric, "95 % interval", "real better by", "95 % interval", "samples")
    _print("does it use its channel?", headings, rows)
    for name, reason in found.left_out.items():
        console().print(f"left out: {name} ({reason})")


def print_scores(found: Mapping[str, Any], title: str) -> None:
    """Print exact matches, over all and by kind of question, the convention's metrics, and what was left out."""
    out = console()
    if found["convention"] == "exact":
        _print_matches(found, title)
    else:
        rows = [(name, *_figures(row["value"], row["interval"])) for name, row in found["metrics"].items()]
        _print(f"{title}: {found['benchmark']}, {found['convention']}", ("", "value", "95 % interval"), rows)
        out.print(f"samples: {found['n']}")
    if found["by_category"] and found["convention"] != "exact":
        parts = [
            (name, *_figures(row["value"], row["interval"]), str(row["n"]))
            for name, row in found["by_category"].items()
        ]
        _print(f"{next(iter(found['metrics']))} by category", ("", "value", "95 % interval", "samples"), parts)
    for reason, count in found["skipped_reasons"].items():
        out.print(f"skipped: {count} ({reason})")
    if found["missing"] and "missing media" not in found["skipped_reasons"]:
        out.print(f"counted as wrong: {found['missing']} whose media lack")
    if found["empty"]:
        out.print(f"empty answers: {found['empty']}")
    for channel, count in found["absent"].items():
        out.print(f"without {channel}: {count}")


def _print_matches(found: Mapping[str, Any], title: str) -> None:
    rows = []
    for name, row in {"all": found, **found["by_form"]}.items():
        low, high = row["interval"]
        chance = "" if row["chance"] is None else f"{row['chance']:.1%}"
        rows.append((name, f"{row['accuracy']:.1%}", f"{low:.1%} to {high:.1%}", chance, str(row["n"])))
    _print(title, ("", "accuracy", "95 % interval", "chance", "questions"), rows)


def _print(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _figures(value: float | None, interval: Sequence[float | None]) -> tuple[str, str]:
    from pave.evaluation.figures import figure, span

    return figure(value), span(interval)
