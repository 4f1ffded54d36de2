"""``pave demo``: a tiny Video LLM fails on questions about sound, and answers them once it is patched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.cli.quiet import quieten

if TYPE_CHECKING:
    from pave.blindspot.demo import DemoResult


def main(arguments: list[str]) -> None:
    """Run ``pave demo``."""
    parse(run, "pave demo", arguments)


def run(
    out: Path = Path("demo"),
    count: int = 200,
    films: int = 4,
    seed: int | None = None,
    patch: str = "hear",
    base: str | None = None,
    workers: int = 2,
    json: bool = False,
) -> None:
    """Watch a tiny Video LLM fail on sound, then answer once patched, on films made just now.

    Args:
        out: Folder for the report and its films; an earlier demo's folder is replaced.
        count: Fresh questions that the accuracies are over.
        films: Films shown in the report.
        seed: Of films and questions; by default a new one, which is recorded.
        patch: Shipped name, folder or hub id of a patch that hears.
        base: Base in place of the one that the patch was made for.
        workers: Processes that make films.
        json: Print one JSON object for scripts.
    """
    quieten()
    from pave.blindspot.demo import DemoConfig, run_demo

    result = run_demo(DemoConfig(out, count, films, seed, patch, base, workers))
    if json:
        scores = {"base": result.base.to_dict(), "patched": result.patched.to_dict()}
        print_json({"report": str(result.report), "seed": result.seed, **scores})
    else:
        _print(result)


def _print(result: DemoResult) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    answers = Table(box=box.SIMPLE_HEAD)
    for heading in ("film", "question", "truth", "base", "patched"):
        answers.add_column(heading)
    for number, film in enumerate(result.films, start=1):
        for index, answer in enumerate(film.answers):
            base = _coloured(answer.base, answer.base_right)
            patched = _coloured(answer.patched, answer.patched_right)
            answers.add_row("" if index else str(number), answer.question, answer.truth, base, patched)
    console.print(answers)
    scores = Table(box=box.SIMPLE_HEAD, title=f"{result.base.n} fresh questions about sound", title_style="bold")
    for heading in ("", "right", "95 % interval"):
        scores.add_column(heading, justify="right" if heading else "left")
    for name, found in (("base", result.base), ("patched", result.patched)):
        low, high = found.interval
        scores.add_row(name, f"{found.accuracy:.1%}", f"{low:.1%} to {high:.1%}")
    if result.base.chance is not None:
        scores.add_row("chance, without hearing", f"{result.base.chance:.1%}", "", style="dim")
    console.print(scores)
    console.print(f"seed {result.seed}")
    console.print(f"report: {result.report}", soft_wrap=True)


def _coloured(text: str, right: bool) -> str:
    from rich.markup import escape

    return f"[green]{escape(text)}[/]" if right else f"[red]{escape(text)}[/]"
