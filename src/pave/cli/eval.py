"""``pave eval``: accuracy of a base and its patches on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.cli.quiet import quieten

if TYPE_CHECKING:
    from pave.evaluation.result import EvalResult


def main(arguments: list[str]) -> None:
    """Run ``pave eval``."""
    parse(run, "pave eval", arguments)


def run(
    data: list[Path],
    base: str | None = None,
    patch: list[str] | None = None,
    out: Path | None = None,
    frames: int | None = None,
    limit: int | None = None,
    batch_size: int = 16,
    max_new_tokens: int = 16,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    seed: int = 0,
    store: Path | None = None,
    json: bool = False,
) -> None:
    """Score the answers of a base, with or without patches, on data sets.

    Args:
        data: Data sets: .jsonl files, or folders that hold samples.jsonl.
        base: Shipped name, folder or hub id; by default the one that the first patch was made for.
        patch: Shipped names, folders or hub ids; none scores the base alone.
        out: New or empty folder for result.json and responses.jsonl.
        frames: Frames of a video; by default what the patches were made with.
        limit: Score only so many samples, the first ones.
        batch_size: Questions answered together.
        max_new_tokens: Longest answer.
        precision: Float type of the base.
        seed: Of the bootstrap that gives the interval.
        store: Folder of a feature store, as pave extract fills it; what it lacks is computed and added.
        json: Print the result as one JSON object.
    """
    from pave.evaluation.config import EvalConfig, EvalSettings
    from pave.evaluation.run import run_evaluation

    quieten()
    settings = EvalSettings(batch_size, max_new_tokens, seed, cache_video_tokens=store is None, store=store)
    config = EvalConfig(
        data=tuple(data),
        base=base or (None if patch else "blindspot"),
        patches=tuple(patch or ()),
        out=out,
        frames=frames,
        limit=limit,
        precision=precision,
        settings=settings,
    )
    result = run_evaluation(config)
    if json:
        print_json(result.to_dict())
    else:
        print_result(result)


def print_result(result: EvalResult) -> None:
    """Print accuracy, interval and chance, over all and by kind of question."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = " + ".join([result.base, *result.patches])
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for heading in ("", "accuracy", "95 % interval", "chance", "questions"):
        table.add_column(heading, justify="right" if heading else "left")
    rows = {"all": {"accuracy": result.accuracy, "interval": result.interval, "chance": result.chance, "n": result.n}}
    for name, row in {**rows, **result.by_form}.items():
        low, high = row["interval"]
        chance = "" if row["chance"] is None else f"{row['chance']:.1%}"
        table.add_row(name, f"{row['accuracy']:.1%}", f"{low:.1%} to {high:.1%}", chance, str(row["n"]))
    console = Console()
    console.print(table)
    for reason, count in result.skipped_reasons.items():
        console.print(f"skipped: {count} ({reason})")
    for channel, count in result.absent.items():
        console.print(f"without {channel}: {count}")
