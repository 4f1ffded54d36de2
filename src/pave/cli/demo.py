"""``pave demo``: a tiny Video LLM fails on what its frames do not show, and answers once it is patched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.quiet import quieten

if TYPE_CHECKING:
    from rich.table import Table

    from pave.blindspot.demo import DemoResult


def main(arguments: list[str]) -> None:
    """Run ``pave demo``."""
    parse(run, "pave demo", arguments)


def run(
    out: Path = Path("demo"),
    track: str | None = None,
    count: int = 200,
    films: int = 4,
    seed: int | None = None,
    patch: str | None = None,
    base: str | None = None,
    workers: int = 2,
    json: bool = False,
) -> None:
    """Watch a tiny Video LLM fail on what its frames do not show, then answer once patched, on films made just now.

    Args:
        out: Folder for the report and its films; an earlier demo's folder is replaced.
        track: Only ``hear``, ``depth``, ``views`` or ``blink``; by default every track that a patch is shipped for.
        count: Fresh questions of a track that the accuracies are over.
        films: Films of a track shown in the report.
        seed: Of films and questions; by default a new one, which is recorded.
        patch: Shipped name, folder or hub id of a patch; by default the shipped one of each track.
        base: Base in place of the one that a patch was made for.
        workers: Processes that make films.
        json: Print one JSON object for scripts.
    """
    quieten()
    from pave.blindspot.demo import DemoConfig, run_demo, scores

    result = run_demo(DemoConfig(out, track, count, films, seed, patch, base, workers))
    if json:
        tracks = {name: scores(found) for name, found in result.tracks.items()}
        print_json({"report": str(result.report), "seed": result.seed, "tracks": tracks})
    else:
        _print(result)


def _print(result: DemoResult) -> None:
    from rich.console import Console

    console = Console()
    console.print(_answers(result))
    console.print(_scores(result))
    console.print(f"seed {result.seed}")
    console.print(f"report: {result.report}", markup=False, soft_wrap=True)


def _answers(result: DemoResult) -> Table:
    from rich import box
    from rich.table import Table

    answers = Table(box=box.SIMPLE_HEAD)
    for heading in ("track", "film", "question", "truth", "base", "patched"):
        answers.add_column(heading)
    for name, found in result.tracks.items():
        for number, film in enumerate(found.films, start=1):
            for index, answer in enumerate(film.answers):
                first = "" if number > 1 or index else name
                base = _coloured(answer.base, answer.base_right)
                patched = _coloured(answer.patched, answer.patched_right)
                answers.add_row(first, "" if index else str(number), answer.question, answer.truth, base, patched)
    return answers


def _scores(result: DemoResult) -> Table:
    from rich import box
    from rich.table import Table

    first = next(iter(result.tracks.values()))
    title = f"right of {first.base.n} fresh questions a track, with 95 % intervals"
    scores = Table(box=box.SIMPLE_HEAD, title=title, title_style="bold")
    for heading in ("track", "base", "", "patched", "", "chance"):
        scores.add_column(heading, justify="left" if heading == "track" else "right")
    for name, found in result.tracks.items():
        cells = [
            cell for one in (found.base, found.patched) for cell in (f"{one.accuracy:.1%}", _interval(one.interval))
        ]
        chance = "" if found.base.chance is None else f"{found.base.chance:.1%}"
        scores.add_row(name, *cells, chance)
    return scores


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _coloured(text: str, right: bool) -> str:
    from rich.markup import escape

    return f"[green]{escape(text)}[/]" if right else f"[red]{escape(text)}[/]"
