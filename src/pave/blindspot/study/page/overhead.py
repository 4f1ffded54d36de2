"""What a patch costs in seconds beside its base, as ``benchmarks/overhead.py`` measured it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pave.blindspot.study.page.markdown import NOT_RUN, table

OVERHEAD_FILE = "overhead.json"
TASKS = ("prefill", "generate")
VARIANTS = {"base": "base", "unmerged": "patch, LoRA apart", "merged": "patch, LoRA merged"}


def section(measured: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the paragraphs of measured seconds.

    Args:
        measured: Content of the benchmark's result file; ``None`` where there is none.
    """
    yield "## What it costs in seconds"
    if measured is None:
        yield f"This was {NOT_RUN}: `python benchmarks/overhead.py --out studies/results/{OVERHEAD_FILE}`."
        return
    device = "the CPU" if measured["device"] == "cpu" else measured["device"]
    yield (
        "An answer of a patched base beside one of the base alone, in turn in one run: `benchmarks/overhead.py` on "
        f"{device}, {measured['threads']} threads, random weights. A video is encoded once, the same for all. Median "
        "seconds, and the median ratio to the base within a round, in brackets its quartiles over the rounds."
    )
    rows = [_line(base, variant, found) for base, found in measured["bases"].items() for variant in VARIANTS]
    yield table(("base", "frames", "tokens", "", "rounds", "prefill", "of the base", "answer", "of the base"), rows)


def _line(base: str, variant: str, found: Mapping[str, Any]) -> list[str]:
    cells = [
        f'<a id="overhead-{base.replace(".", "-")}-{variant}"></a>`{base}`',
        f"{found['frames']}",
        f"{found['sequence']} + {found['new_tokens']}",
        VARIANTS[variant],
        f"{found['rounds']}",
    ]
    for task in TASKS:
        seconds = found[task]["sec"]
        cells += [f"{found[task]['median_sec'][variant]:.3f} s", _ratio(seconds[variant], seconds["base"])]
    return cells


def _ratio(own: Sequence[float], base: Sequence[float]) -> str:
    if own is base:
        return "1"
    low, middle, high = statistics.quantiles([a / b for a, b in zip(own, base, strict=True)], n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
