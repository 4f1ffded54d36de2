"""The page: scores side by side, their intervals and differences, categories, probes, and examples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from pave.errors import InputError
from pave.evaluation.figures import figure, number, span
from pave.evaluation.probe_plot import drawn
from pave.evaluation.report.examples import pairs_of, render_examples
from pave.evaluation.report.gather import Entry, Gathered, ShownProbe, gather
from pave.evaluation.report.html import Bar, bar, data_uri, document, table
from pave.files import write_whole

EXAMPLES = 8
COLOURS = 4
"""Colours that the page has for models."""

SHARES = (1.0, 100.0)
"""What a whole bar stands for where a metric is a share, or per cent."""


class Question(NamedTuple):
    """What results must share to stand in one chart.

    Args:
        data: Names of the data sets.
        hashes: Of their content: sets of one name may lie in several folders.
        benchmark: Whose conventions the metrics are of.
        convention: How answers were scored.
        metric: The headline metric.
    """

    data: str
    hashes: tuple[str, ...]
    benchmark: str
    convention: str
    metric: str


def write_report(folders: Sequence[Path], out: Path, examples: int = EXAMPLES) -> None:
    """Write one page from result folders.

    Args:
        folders: Folders that ``pave eval`` left: of a model, a comparison or a probe.
        out: The HTML file; replaced if it is there.
        examples: Most examples of each pair of models.

    Raises:
        InputError: If a folder holds no finished result, or nothing is named.
    """
    if not folders:
        raise InputError("pave report: name at least one result folder")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file, such as {out / 'report.html'}")
    write_whole(out, render(gather(folders), examples))


def render(gathered: Gathered, examples: int = EXAMPLES) -> str:
    """Return the page as HTML, with styles, pictures and sounds inside."""
    groups: dict[Question, list[Entry]] = {}
    for entry in gathered.entries:
        groups.setdefault(_question(entry), []).append(entry)
    titles = _titles(groups)
    body = [
        '<header>\n<p class="kicker">pave report</p>\n<h1>Evaluation</h1>\n</header>',
        *(_chart(question, entries, title) for (question, entries), title in zip(groups.items(), titles, strict=True)),
        _differences(gathered.differences),
        *map(_probe, gathered.probes),
        *(render_examples(before, after, examples) for before, after in pairs_of(gathered.entries)),
        _provenance(gathered.entries),
    ]
    return document("Evaluation", "\n".join(part for part in body if part))


def headline(result: Mapping[str, Any]) -> tuple[str, float, Sequence[float]]:
    """Return name, value and interval of a result's first metric."""
    name, found = next(iter(result["metrics"].items()))
    return name, number(found["value"]), [number(end) for end in found["interval"]]


def _question(entry: Entry) -> Question:
    result, config = entry.result, entry.result["config"]
    data = ", ".join(Path(path).name for path in config.get("data", []))
    hashes = tuple(config.get("data_sha256") or ())
    return Question(data, hashes, result["benchmark"], result["convention"], headline(result)[0])


def _titles(groups: Mapping[Question, Sequence[Entry]]) -> list[str]:
    """Return what each chart is of: the names of its data sets, or their paths where others have the same names."""
    titles = []
    for question, (first, *_) in groups.items():
        paths = ", ".join(map(str, first.result["config"].get("data", [])))
        same = {other.hashes for other in groups if other.data == question.data}
        data = question.data if len(same) == 1 else paths
        titles.append(f"{question.metric} on {data or question.benchmark}")
    return titles


def _chart(question: Question, entries: Sequence[Entry], title: str) -> str:
    benchmark, convention = question.benchmark, question.convention
    found = [headline(entry.result) for entry in entries]
    scale = 100.0 if convention == "exact" else _scale([max(value, interval[1]) for _, value, interval in found])
    bars = "\n".join(_bar(entry, place, scale) for place, entry in enumerate(entries))
    return f"""<section class="card scores">
<h2>{escape(title)}</h2>
<div class="bars">
{bars}
</div>
<p class="note">Benchmark {escape(benchmark)}, convention {escape(convention)}. Whiskers are 95&#8239;% intervals, by
bootstrap over videos.{_chance_note(entries)}</p>
{_metrics(entries)}
{_categories(entries, scale)}
</section>"""


def _chance_note(entries: Sequence[Entry]) -> str:
    return " The dashed line is chance." if any(_chance(entry.result) is not None for entry in entries) else ""


def _chance(result: Mapping[str, Any]) -> float | None:
    """Return chance as a share; it is that of a right answer, which other conventions do not count."""
    chance: float | None = result["chance"] if result["convention"] == "exact" else None
    return chance


def _bar(entry: Entry, place: int, scale: float) -> str:
    _, value, interval = headline(entry.result)
    note = f"{entry.result['n']} samples"
    return _scaled(entry.name, note, value, interval, scale, place, _chance(entry.result))


def _scaled(
    name: str, note: str, value: float, interval: Sequence[float], scale: float, place: int, chance: float | None
) -> str:
    share, low, high = (0.0 if math.isnan(end) else min(max(end / scale, 0), 1) for end in (value, *interval))
    dashed = chance if scale in SHARES else None
    shown = Bar(name, note, share, low, high, figure(value), span(interval), dashed)
    return bar(shown, place % COLOURS)


def _scale(values: Sequence[float]) -> float:
    """Return what a whole bar stands for: 1 for shares, 100 for per cents, else a little above the highest value."""
    highest = max((value for value in values if not math.isnan(value)), default=1.0)
    return next((whole for whole in SHARES if highest <= whole), 1.1 * highest)


def _metrics(entries: Sequence[Entry]) -> str:
    names = list(dict.fromkeys(name for entry in entries for name in entry.result["metrics"]))
    rows = [
        [
            entry.name,
            *(_figures(entry.result["metrics"].get(name)) for name in names),
            *(str(entry.result[name]) for name in ("n", "skipped", "missing", "empty")),
        ]
        for entry in entries
    ]
    return table(["", *names, "samples", "skipped", "media lack", "empty"], rows)


def _figures(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return ""
    return f"{figure(metric['value'])} <small>({span(metric['interval'])})</small>"


def _categories(entries: Sequence[Entry], scale: float) -> str:
    """Return a bar a category and model."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.result["by_category"]))
    if not names:
        return ""
    inside = "\n".join(
        f"<h3>{escape(name.replace('_', ' '))}</h3>\n{_category(entries, name, scale)}" for name in names
    )
    return f'<details open><summary>By category</summary>\n<div class="narrow">\n{inside}\n</div></details>'


def _category(entries: Sequence[Entry], name: str, scale: float) -> str:
    bars = []
    for place, entry in enumerate(entries):
        part = entry.result["by_category"].get(name)
        if part is not None:
            value, interval = number(part["value"]), [number(end) for end in part["interval"]]
            note = f"{part['n']} samples"
            form = entry.result["by_form"].get(name, {})
            bars.append(_scaled(entry.name, note, value, interval, scale, place, form.get("chance")))
    return "\n".join(bars)


def _differences(differences: Sequence[Mapping[str, Any]]) -> str:
    if not differences:
        return ""
    rows = [
        [f"{row['model']} - {row['than']}", escape(row["metric"]), _change(row["value"], row["interval"])]
        for row in differences
    ]
    return f"""<section class="card">
<h2>Differences</h2>
{table(["", "metric", "difference, 95 % interval"], rows)}
<p class="note">Paired: every draw of the bootstrap takes the same videos of both models.</p>
</section>"""


def _probe(probe: ShownProbe) -> str:
    plot = data_uri(drawn(probe.rows, probe.chance, "png"), "image/png")
    warnings = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in probe.warnings)
    rows = [
        [
            row.name,
            _figures({"value": row.value, "interval": row.interval}),
            "" if row.drop is None or row.drop_interval is None else _change(row.drop, row.drop_interval),
            str(row.n),
        ]
        for row in probe.rows
    ]
    left_out = "".join(
        f'<p class="note">Left out: {escape(name)} ({escape(why)}).</p>' for name, why in probe.left_out.items()
    )
    return f"""<section class="card">
<h2>Does {escape(probe.name)} use its channel?</h2>
{warnings}
<img class="plot" alt="Score with each variant of the side channel" src="{plot}">
{table(["channel", probe.rows[0].metric, "real better by", "samples"], rows)}
{left_out}
</section>"""


def _change(value: float | None, interval: Sequence[float | None]) -> str:
    return f"{figure(value, '+')} <small>({span(interval, '+')})</small>"


def _provenance(entries: Sequence[Entry]) -> str:
    shown = "\n".join(
        f"<details><summary>{escape(entry.name)}</summary><pre>{escape(_decided(entry))}</pre></details>"
        for entry in entries
    )
    return f"<footer>\n<h2>What decided these answers</h2>\n{shown}\n</footer>"


def _decided(entry: Entry) -> str:
    found = {"config": entry.result["config"], "versions": entry.result["versions"], "folder": entry.source}
    return json.dumps(found, indent=2, ensure_ascii=False)
