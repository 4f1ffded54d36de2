"""``pave train``: a patch from a YAML file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.cli.dry_run import DRY_RUN_HELP, run, split_off
from pave.config import from_dict
from pave.errors import InputError
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.training.config import Source


def main(arguments: list[str]) -> None:
    """Run ``pave train``."""
    from pave.training.config import TrainConfig

    as_json = "--json" in arguments
    rest, rehearsal = split_off([argument for argument in arguments if argument != "--json"])
    if rest[:1] in (["-h"], ["--help"]):
        print(DRY_RUN_HELP)
    config = parse(TrainConfig, "pave train", rest)
    if rehearsal is not None:
        return run(config, rehearsal, as_json)
    from pave.processes import processes
    from pave.training.train import train

    quieten()
    with processes().main_process_first():
        for source in config.data:
            if source.make is not None:
                make_source(source)
    result = train(config)
    if not processes().is_main_process:
        return
    if as_json:
        folders = {"folder": str(result.folder), "patches": [str(folder) for folder in result.patches]}
        print_json({**dataclasses.asdict(result), **folders})
    else:
        written = ", ".join(map(str, result.patches))
        print(f"{written}: {result.steps} steps, loss {result.loss:.4f}, {result.seconds:.0f} s")


def make_source(source: Source) -> None:
    """Write a set of the embedded world, if it is not there yet.

    Raises:
        InputError: If the settings are wrong, or the set that is there was made with others.
    """
    from pave.blindspot.generate import SET_FILE, MakeConfig, make, recipe
    from pave.data.progress import progress_bar

    assert source.make is not None
    where = f"data source {source.path}: make"
    config = from_dict(MakeConfig, {**source.make, "out": str(source.path)}, where)
    made = Path(source.path) / SET_FILE
    if made.is_file():
        found = json.loads(made.read_text(encoding="utf-8"))
        if found != recipe(config):
            raise InputError(
                f"{source.path}: was made with {found}, not {recipe(config)}; remove it or name another path"
            )
        return
    with progress_bar("clips") as bar:
        task = bar.add_task(f"filming {config.track}", total=None, note="")
        make(config, lambda done, total: bar.update(task, completed=done, total=total))
