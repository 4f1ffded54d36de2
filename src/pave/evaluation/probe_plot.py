"""The table of a probe, and its plot: one bar a variant, with its interval."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pave.files import whole_file

REAL = "real"
"""Name of the variant in which nothing is altered."""

REAL_COLOUR, ALTERED_COLOUR = "#0b7a75", "#8b909b"


@dataclass(frozen=True)
class ProbeRow:
    """What was found with one variant.

    Args:
        name: The variant.
        metric: Name of the headline metric.
        value: Its value.
        interval: Its 95 % interval.
        n: Samples.
        drop: How much better the real channel is on the same samples; ``None`` for the real one itself.
        drop_interval: 95 % interval of the drop, by paired bootstrap over videos.
    """

    name: str
    metric: str
    value: float
    interval: tuple[float, float]
    n: int
    drop: float | None = None
    drop_interval: tuple[float, float] | None = None


def write_plot(path: Path, rows: Sequence[ProbeRow], chance: float | None) -> None:
    """Write the plot as PNG."""
    with whole_file(path) as fresh:
        fresh.write_bytes(drawn(rows, chance, "png"))


def drawn(rows: Sequence[ProbeRow], chance: float | None, kind: Literal["png", "svg"]) -> bytes:
    """Return the plot as a file's content; the same rows give the same bytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.36 * len(rows) + 1), layout="constrained")
    axes = figure.add_subplot()
    places = list(range(len(rows)))
    values = [row.value for row in rows]
    below = [max(row.value - row.interval[0], 0) for row in rows]
    above = [max(row.interval[1] - row.value, 0) for row in rows]
    colours = [REAL_COLOUR if row.drop is None else ALTERED_COLOUR for row in rows]
    axes.barh(places, values, xerr=[below, above], color=colours, ecolor="#1d1f24", capsize=2.5, height=0.66)
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"{rows[0].metric}, 95 % intervals")
    if chance is not None:
        axes.axvline(chance, color="#1d1f24", linestyle="--", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    nothing = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=144, metadata=nothing)
    return buffer.getvalue()
