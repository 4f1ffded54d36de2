"""``pave train --dry-run``: two steps of a run, and what the whole would take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pave.cli import console, print_json
from pave.errors import InputError
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.cost.training import StepCost
    from pave.training.config import TrainConfig
    from pave.training.dry_run import DryRun

DRY_RUN_HELP = """\
beside the settings below:
  --dry-run            take two steps, write nothing, and tell what the whole run would take
  --dry-run tiny       the same with a tiny random base of the family and made-up media: needs neither base nor data
  --flops-per-sec N    reckon the time with a device of so many operations a second, such as 2e14
  --json               print the result as one JSON object
"""

_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


@dataclass(frozen=True)
class Rehearse:
    """How a dry run was asked for."""

    tiny: bool
    flops_per_sec: float | None


def split_off(arguments: Sequence[str]) -> tuple[list[str], Rehearse | None]:
    """Return a command line without what asks for a dry run, and that.

    Raises:
        InputError: If a value is wrong, or ``--flops-per-sec`` stands without ``--dry-run``.
    """
    rest: list[str] = []
    mode: str | None = None
    rate: float | None = None
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, given, value = word.partition("=")
        if name == "--dry-run":
            mode = value if given else words.pop(0) if words[:1] == ["tiny"] else ""
        elif name in ("--flops-per-sec", "--flops_per_sec"):
            rate = _rate(value if given else words.pop(0) if words else "")
        else:
            rest.append(word)
    if mode not in (None, "", "tiny"):
        raise InputError(f"pave train: --dry-run is {mode!r}; write --dry-run, or --dry-run tiny")
    if mode is None and rate is not None:
        raise InputError("pave train: --flops-per-sec is for --dry-run; leave it out")
    return rest, None if mode is None else Rehearse(mode == "tiny", rate)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise InputError(f"pave train: --flops-per-sec is {text!r}; give a number above 0, such as 2e14")
    return rate


def run(config: TrainConfig, how: Rehearse, as_json: bool) -> None:
    """Run ``pave train --dry-run``."""
    from pave.processes import processes
    from pave.training.dry_run import dry_run

    quieten()
    state = processes()
    found = dry_run(config, how.tiny, how.flops_per_sec)
    if not state.is_main_process:
        return
    if as_json:
        print_json(as_dict(found))
    else:
        _print(found)


def as_dict(found: DryRun) -> dict[str, Any]:
    """Return a result as plain JSON types; memory is in bytes, of one device."""
    rehearsal = found.rehearsal
    return {
        "base": found.base,
        "stand_in": found.stand_in,
        "rehearsal": {
            "device": rehearsal.device.type,
            "losses": list(rehearsal.losses),
            "seconds_a_step": rehearsal.seconds,
            "counted_bytes": rehearsal.counted.total,
            "measured_bytes": rehearsal.measured,
        },
        "processes": found.processes,
        "batch_size": found.batch_size,
        "passes": found.passes,
        "tokens": found.cost.tokens,
        "gradient_checkpointing": found.checkpointing,
        "memory": {
            "weights": dict(found.cost.weights),
            "optimiser": found.cost.optimiser,
            "gradients": found.cost.gradients,
            "activations": found.cost.activations,
            "batches": found.cost.batches,
            "buckets": found.buckets,
            "total": found.memory,
            "total_with_checkpointing": found.recomputed.total + found.buckets,
            "total_without_checkpointing": found.kept.total + found.buckets,
        },
        "flops_a_step": found.cost.flops * found.passes,
        "flops_per_sec": found.flops_per_sec,
        "seconds_a_step": found.seconds_a_step,
        "steps": found.steps,
        "seconds": found.seconds,
    }


def _print(found: DryRun) -> None:
    from rich import box
    from rich.table import Table

    rehearsal = found.rehearsal
    what = "a tiny random base and made-up media" if found.stand_in else "this base and data"
    losses = " and ".join(f"{loss:.4f}" for loss in rehearsal.losses)
    table = Table(title=f"{found.base}, one device", box=box.SIMPLE_HEAD, title_style="bold", caption_justify="left")
    chosen = ("", " (as configured)")
    table.add_column("")
    table.add_column(f"activations kept{chosen[not found.checkpointing]}", justify="right")
    table.add_column(f"gradient checkpointing{chosen[found.checkpointing]}", justify="right")
    for name, sizes in _rows(found):
        table.add_row(name, *map(_size, sizes))
    both = (found.kept, found.recomputed)
    table.add_row("at the peak", *(_size(cost.total + found.buckets) for cost in both), style="bold", end_section=True)
    table.add_row("PFLOPs a step", *(f"{cost.flops * found.passes / 1e15:.3f}" for cost in both))
    table.caption = _caption(found)
    out = console()
    out.print(
        f"Two steps with {what} on {rehearsal.device.type}: losses {losses}; at the peak "
        f"{_size(rehearsal.counted.total)} by this count, {_size(rehearsal.measured)} by the allocator."
    )
    out.print(table)


def _rows(found: DryRun) -> list[tuple[str, list[int]]]:
    both: list[StepCost] = [found.kept, found.recomputed]
    rows = [(f"weights, {dtype}", [cost.weights[dtype] for cost in both]) for dtype in found.kept.weights]
    rows = [row for row in rows if max(row[1]) > 1e-3 * found.memory]
    rows += [
        ("AdamW's moments", [cost.optimiser for cost in both]),
        ("gradients", [cost.gradients for cost in both]),
        ("activations", [cost.activations for cost in both]),
        ("batches of a step", [cost.batches for cost in both]),
    ]
    return [*rows, ("gradients in exchange", [found.buckets] * 2)] if found.buckets else rows


def _caption(found: DryRun) -> str:
    samples = found.batch_size * found.passes * found.processes
    made_up = ", for a film of 640 x 360 and one question" if found.stand_in else ""
    how = "as measured" if found.flops_per_sec is None else f"at {found.flops_per_sec / 1e12:.3g} TFLOPs a second"
    whole = "" if found.seconds is None else f"; {found.steps} steps {_time(found.seconds)}"
    each = f"{_time(found.seconds_a_step * 10_000 / samples)} for 10 000 samples"
    return (
        f"{found.batch_size} sample(s) a pass of {found.cost.tokens} tokens{made_up}; {found.passes} pass(es) and "
        f"{found.processes} process(es) a step. {how[0].upper()}{how[1:]}, a step takes "
        f"{_time(found.seconds_a_step)}{whole}, {each}."
    )


def _size(number: int) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**30 / 10 else f"{number / 2**20:.2f} MiB"


def _time(seconds: float) -> str:
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"
