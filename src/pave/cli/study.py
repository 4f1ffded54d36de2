"""``pave study``: executes a plan of trainings and evaluations, stopped and resumed at will."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pave.cli import console
from pave.cli.arguments import parse
from pave.errors import InputError

if TYPE_CHECKING:
    from pave.blindspot.study.places import Places
    from pave.blindspot.study.plan import Plan
    from pave.blindspot.study.result import Results
    from pave.blindspot.study.run import Run


WIDTH = 140
"""Columns of a table in a file."""


def main(arguments: list[str]) -> None:
    """Run ``pave study``; exits with 1 if a run failed."""
    # A plan is no file of these settings.
    plan = [f"--plan={arguments[0]}"] if arguments and not arguments[0].startswith("-") else []
    parse(run, "pave study", [*plan, *arguments[len(plan) :]])


def run(
    plan: Path,
    out: Path | None = None,
    work: Path = Path("data/study"),
    only: str | None = None,
    jobs: int = 1,
    quick: bool = False,
    list: bool = False,
) -> None:
    """Execute the runs of a plan that have no result yet, and print the table of all results.

    Args:
        plan: The plan, a YAML file; it may stand first, without its name.
        out: Folder of result files, one a run; by default beside the plan, in results/ and the plan's name.
        work: Folder of film sets, features, patches and answers; what plans have in common is made once.
        only: Execute only runs whose names match, such as 'hear-*'.
        jobs: Runs at once, each in a process of its own; they share the cores.
        quick: Shrink the plan as its section 'quick' says, to see that everything works.
        list: List the runs and whether they have a result, and execute nothing.
    """
    from pave.blindspot.study.places import Places
    from pave.blindspot.study.plan import read_plan
    from pave.blindspot.study.result import Results

    if jobs < 1:
        raise InputError(f"--jobs is {jobs}; write 1 or more")
    found = read_plan(plan, quick)
    name = found.name + ("-quick" if quick else "")
    results = Results(out if out is not None else plan.parent / "results" / name)
    chosen = [run for run in found.runs if only is None or fnmatch.fnmatchcase(run.name, only)]
    if not chosen:
        raise InputError(f"--only {only}: no run of {plan} is called so; --list shows them")
    if list:
        _list(chosen, results)
    elif not _execute(found, chosen, Places(work.absolute()), results, jobs):
        sys.exit(1)


def _list(runs: list[Run], results: Results) -> None:
    for run in runs:
        try:
            state = "not run" if results.find(run) is None else "done"
        except InputError as error:
            state = str(error)
        print(f"{run.name}: {state}")


def _execute(plan: Plan, chosen: list[Run], places: Places, results: Results, jobs: int) -> bool:
    from pave.blindspot.study.execute import Executor
    from pave.blindspot.study.rows import rows_of
    from pave.blindspot.study.table import Screen, result_table

    waiting = [run for run in chosen if results.find(run) is None]
    _make_sets(waiting, places)
    out = console(None if sys.stdout.isatty() else WIDTH)
    failed: dict[str, str] = {}
    if waiting:
        with Screen(out, waiting, results) as screen:
            executor = Executor({run.name: run for run in plan.runs}, places, results, screen, jobs)
            failed = executor.execute(waiting)
    out.print(result_table(plan.name, rows_of(chosen, results)))
    for name, reason in failed.items():
        print(f"pave: {name}: {reason}", file=sys.stderr)
    return not failed


def _make_sets(runs: list[Run], places: Places) -> None:
    from pave.data.progress import progress_bar

    sets = {places.film_set(config): config for run in runs for config in run.sets}
    for config in sets.values():
        if not places.has_set(config):
            with progress_bar("clips") as bar:
                task = bar.add_task(f"filming {config.track}", total=None, note="")
                places.make_set(
                    config, lambda done, total, task=task, bar=bar: bar.update(task, completed=done, total=total)
                )
