"""What a patch costs in seconds beside its base, as ``benchmarks/overhead.py`` measured it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from pave.blindspot.study.page.markdown import NOT_RUN, ran_on, table

OVERHEAD_FILE = "overhead.json"
TASKS = {"prefill": "first token", "generate": "answer"}
STATES = {"unmerged": "apart", "merged": "merged"}


def section(measured: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the paragraphs of measured seconds.

    Args:
        measured: Content of the benchmark's result file; ``None`` where there is none.
    """
    yield "## What it costs in seconds"
    if measured is None:
        yield f"This was {NOT_RUN}: `python benchmarks/overhead.py --out studies/results/{OVERHEAD_FILE}`."
        return
    yield (
        "An answer of a patched base beside one of the base alone, in turn in one run: `benchmarks/overhead.py` on "
        f"{ran_on(measured)}, random weights. The video is encoded once, the same for both. "
        "Medians; in brackets the quartiles of the ratio over the rounds."
    )
    rows = [_line(*row) for row in product(measured["bases"].items(), STATES, TASKS)]
    yield table(("base", "frames", "tokens read", "LoRA", "to the", "base", "with patch", "ratio", "rounds"), rows)


def _line(base: tuple[str, Mapping[str, Any]], state: str, task: str) -> list[str]:
    name, found = base
    measured = found[task][state]
    ratios = [own / alone for own, alone in zip(measured["sec"]["patch"], measured["sec"]["base"], strict=True)]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return [
        f'<a id="overhead-{name.replace(".", "-")}-{state}-{task}"></a>`{name}`',
        str(found["frames"]),
        str(found["sequence"]),
        STATES[state],
        TASKS[task] if task == "prefill" else f"{TASKS[task]}, {found['new_tokens']} tokens",
        *(f"{1000 * measured['median_sec'][variant]:.1f} ms" for variant in ("base", "patch")),
        f"{middle:.3f} ({low:.3f} to {high:.3f})",
        str(found["rounds"]),
    ]
