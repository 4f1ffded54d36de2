"""Plots of the study as SVG files, the same bytes for the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pave.blindspot.study.page import ablations, main_table, times, together
from pave.blindspot.study.rows import Score, Study

STYLE = {"svg.hashsalt": "pave", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False}
STYLE |= {"axes.spines.right": False, "figure.constrained_layout.use": True}
COLOURS = dict(zip(main_table.METHODS, ("#9aa0a6", "#c58b2a", "#6b4fa0", "#b03a48", "#1f6f8b"), strict=True))

Draw = Callable[[Study, Figure], bool]


def draw(study: Study, path: Path) -> bool:
    """Draw the plot of a plan, if it has one and there are results, and say whether it was written."""
    drawer = DRAWERS.get(study.name)
    if drawer is None:
        return False
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6))
        if not drawer(study, figure):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return True


def _main(study: Study, figure: Figure) -> bool:
    """Accuracy by track and method; accuracy against what an answer costs."""
    bars, costs = figure.subplots(1, 2, width_ratios=(2, 1))
    width = 0.8 / len(main_table.METHODS)
    drawn = False
    for place, (method, text) in enumerate(main_table.METHODS.items()):
        for number, track in enumerate(main_table.TRACKS):
            row = study.find(track=track, method=method)
            score, flops = row.score(track), row.fact("cost", "flops")
            if score is None or flops is None:
                continue
            label = None if drawn and text in bars.get_legend_handles_labels()[1] else text
            centre = number + (place - 2) * width
            bars.bar(centre, 100 * score.value, width, yerr=_errors(score), color=COLOURS[method], label=label)
            costs.scatter(flops / 1e6, 100 * score.value, color=COLOURS[method], marker="osD^"[number], s=22)
            if score.chance is not None:
                bars.hlines(100 * score.chance, number - 0.45, number + 0.45, color="black", lw=0.7, ls=":")
            drawn = True
    bars.set_xticks(range(len(main_table.TRACKS)), main_table.TRACKS)
    bars.set_ylabel("accuracy, %")
    if drawn:
        bars.legend(fontsize=7, loc="lower center", ncols=3, bbox_to_anchor=(0.5, 1.0), frameon=False)
    costs.set_xscale("log")
    costs.set_xlabel("MFLOPs an answer")
    return drawn


def _times(study: Study, figure: Figure) -> bool:
    """Accuracy by what was done to the times, a panel a track."""
    drawn = False
    for axes, track in zip(figure.subplots(1, len(main_table.TRACKS), sharey=True), main_table.TRACKS, strict=True):
        for method, text in times.METHODS.items():
            row = study.find(track=track, method=method)
            scores = [row.score(condition) for condition in times.CONDITIONS]
            found = [(place, score) for place, score in enumerate(scores) if score is not None]
            if found:
                _with_intervals(axes, found, COLOURS[method], text)
                drawn = True
        axes.set_title(track)
        axes.set_xticks(range(len(times.CONDITIONS)), times.CONDITIONS, rotation=60)
    figure.axes[0].set_ylabel("accuracy, %")
    if drawn:
        figure.axes[0].legend(fontsize=7, frameon=False)
    return drawn


def _together(study: Study, figure: Figure) -> bool:
    """Every model on every track, as a map of colours."""
    rows = together.rows_of(study)
    values = np.full((len(rows), len(together.ASKED)), np.nan)
    for line, row in enumerate(rows.values()):
        for column, asked in enumerate(together.ASKED):
            score = together.own_score(row, asked)
            values[line, column] = np.nan if score is None else 100 * score.value
    if np.isnan(values).all():
        return False
    axes = figure.subplots()
    axes.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=100)
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = "black" if value > 60 else "white"
            axes.text(column, line, f"{value:.1f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(together.ASKED)), together.ASKED)
    axes.set_yticks(range(len(rows)), [together.MODELS[name].replace("`", "") for name in rows])
    return True


def _ablations(study: Study, figure: Figure) -> bool:
    """Difference of each variant to the default, with its interval, a panel a track."""
    tracks = study.values("track")
    found = {
        track: [pair for field in ablations.fields_of(study) for pair in ablations.differences(study, field, track)]
        for track in tracks
    }
    if not any(found.values()):
        return False
    figure.set_size_inches(9, 1 + 0.19 * max(map(len, found.values())))
    for axes, track in zip(figure.subplots(1, len(tracks), squeeze=False)[0], tracks, strict=True):
        pairs = found[track][::-1]
        _with_intervals(axes, [(place, score) for place, (_, score) in enumerate(pairs)], "#1f6f8b", None, across=True)
        axes.axvline(0, color="black", lw=0.7)
        axes.set_yticks(range(len(pairs)), [row.labels["variant"] for row, _ in pairs], fontsize=7)
        axes.set_title(track)
        axes.set_xlabel("points against the default")
    return True


DRAWERS: dict[str, Draw] = {"main": _main, "times": _times, "together": _together, "ablations": _ablations}


def _with_intervals(
    axes: Axes, found: Sequence[tuple[int, Score]], colour: str, label: str | None, across: bool = False
) -> None:
    places = [place for place, _ in found]
    values = [100 * score.value for _, score in found]
    errors = np.concatenate([_errors(score) for _, score in found], axis=1) if found else np.zeros((2, 0))
    options: dict[str, Any] = {"fmt": "o", "ms": 3.5, "lw": 1, "color": colour, "label": label}
    if across:
        axes.errorbar(values, places, xerr=errors, **options)
    else:
        axes.errorbar(places, values, yerr=errors, **options)


def _errors(score: Score) -> np.ndarray:
    low, high = score.interval
    return 100 * np.array([[max(score.value - low, 0)], [max(high - score.value, 0)]])
