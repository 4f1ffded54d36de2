"""What ``pave study`` prints: the table of results, and what a run says while it works."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pave.blindspot.study.execute import DONE, FAILED, Event, work_of
from pave.blindspot.study.result import Results
from pave.blindspot.study.rows import Row, Score
from pave.blindspot.study.run import Run

NOT_RUN = "not run"


def result_table(title: str, rows: Sequence[Row]) -> Table:
    """Return the table of results: a line for each evaluation of each row."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number > 1 else "left", no_wrap=True)
    for row in rows:
        for number, evaluation in enumerate(row.evaluations):
            table.add_row(row.name if not number else "", evaluation, *_cells(row, evaluation, first=not number))
    return table


HEADINGS = ("run", "asked", "accuracy", "95 % interval", "chance", "seeds", "weights", "MFLOPs", "tokens", "s/step")
"""Of the table; costs stand on the first line of a row, and seeds as made and planned."""


def _cells(row: Row, evaluation: str, first: bool) -> list[str]:
    score = row.score(evaluation)
    if score is None:
        return [NOT_RUN]
    chance = "" if score.chance is None else f"{score.chance:.1%}"
    cells = [f"{score.value:.1%}", interval_text(score), chance, f"{len(row.found)}/{len(row.runs)}"]
    return [*cells, *_costs(row)] if first else cells


def _costs(row: Row) -> list[str]:
    flops, tokens = row.fact("cost", "flops"), row.fact("cost", "prompt_tokens")
    seconds = row.fact("trained", "seconds_a_step")
    return [
        f"{row.trained_weights or 0:,.0f}",
        "" if flops is None else f"{flops / 1e6:,.1f}",
        "" if tokens is None else f"{tokens:,.0f}",
        "" if seconds is None else f"{seconds:.3f}",
    ]


def interval_text(score: Score) -> str:
    """Return a 95 % interval in words."""
    low, high = score.interval
    return f"{low:.1%} to {high:.1%}"


class Screen:
    """Shows a study at work: a bar where a person is watching, and one line for each run that ends.

    Args:
        console: Where to.
        runs: The runs that will be executed.
        results: Where their results will be.
    """

    def __init__(self, console: Console, runs: Sequence[Run], results: Results) -> None:
        self._console = console
        self._results = results
        self._work = sum(map(work_of, runs))
        self._count, self._ended, self._done = len(runs), 0, 0.0
        self._parts: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._whole = self._bar.add_task("study", total=self._work, note="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Screen:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        name = event.run.name
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=None, note="")
            self._begun[name] = time.monotonic()
        if event.what in (DONE, FAILED):
            self._end(event)
            return
        self._bar.update(self._tasks[name], total=event.total or None, completed=event.done, note=event.what)
        if event.what.startswith("training") and event.total:
            self._parts[name] = event.run.steps * event.done / event.total
        self._update()

    def _end(self, event: Event) -> None:
        name = event.run.name
        self._bar.remove_task(self._tasks.pop(name))
        self._parts.pop(name, None)
        self._ended += 1
        self._done += work_of(event.run)
        self._update()
        said = f"failed: {event.text}" if event.what == FAILED else self._scores(event.run)
        seconds = time.monotonic() - self._begun[name]
        line = f"{self._ended} of {self._count}: {name} ({seconds:.0f} s): {said}; {self._left()}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _scores(self, run: Run) -> str:
        found = self._results.find(run) or {"scores": {}}
        return ", ".join(f"{name} {score['accuracy']:.1%}" for name, score in found["scores"].items())

    def _update(self) -> None:
        self._bar.update(self._whole, completed=self._progress, note=self._left())

    @property
    def _progress(self) -> float:
        return self._done + sum(self._parts.values())

    def _left(self) -> str:
        if not self._progress:
            return ""
        spent = time.monotonic() - self._started
        seconds = spent * (self._work - self._progress) / self._progress
        return f"about {duration_text(seconds)} left" if seconds > 0 else "all done"


def duration_text(seconds: float) -> str:
    """Return a duration in hours and minutes, or seconds where it is short."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
