"""The demonstration's page: one HTML file that needs nothing beside it, in light and dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
from PIL import Image

WIDTH = 1000
"""Horizontal units of a timeline's drawings, whatever its length in seconds."""

WAVE_HEIGHT = 80
ROW_HEIGHT = 13
WAVE_COLUMNS = 500


@dataclass(frozen=True)
class Answer:
    """One question, its true answer, and what base and patched model said."""

    question: str
    truth: str
    base: str
    base_right: bool
    patched: str
    patched_right: bool


@dataclass(frozen=True)
class Film:
    """One film and what was asked about it.

    Args:
        file: The mp4 file.
        duration_sec: Its length.
        pictures: Frames that the base saw, uint8 (T,H,W,3).
        times_sec: Their times (T,).
        wave: Its sound, mono -1..1 (L,).
        wave_rate: Samples a second.
        sounds: Onset in seconds and kind of what really sounded.
        attention: How much each frame read from each side step (T,K); ``None`` if there is nothing to show.
        side_times_sec: Centres of the side steps (K,).
        answers: Questions and answers.
    """

    file: bytes
    duration_sec: float
    pictures: np.ndarray
    times_sec: np.ndarray
    wave: np.ndarray
    wave_rate: int
    sounds: Sequence[tuple[float, str]]
    attention: np.ndarray | None
    side_times_sec: np.ndarray | None
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Score:
    """Accuracy of one model, from a source such as a folder, with its 95 % interval, and by kind of question."""

    name: str
    source: str
    accuracy: float
    interval: tuple[float, float]
    by_form: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    films: Sequence[Film]
    scores: Sequence[Score]
    chance: float | None
    count: int
    seed: int
    command: str
    versions: Mapping[str, str]


def render_report(report: Report) -> str:
    """Return the page as HTML, with styles, pictures and films inside."""
    films = "\n".join(_film(film, number) for number, film in enumerate(report.films, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>A Video LLM that learns to hear</title>
<style>
{_resource("report.css")}</style>
</head>
<body>
<main>
<header>
<p class="kicker">pave demo</p>
<h1>A Video LLM that learns to hear</h1>
<p class="lead">A small Video LLM looks at a few frames of each film. What made a sound, and when, no frame can tell.
The same model, its weights untouched, then answers again with a patch that adds what it hears to what it sees.</p>
</header>
{_scores(report)}
<section>
<h2>Films it was asked about</h2>
<p class="note">Each film was made for this page. Play one: the line runs over the frames that the model saw, over the
sound, and over what the patch read. In the bottom grid a row is a frame and a column a moment of the sound; the
stronger a cell's colour, the more that frame took from that moment.</p>
{films}
</section>
{_footer(report)}
</main>
<script>
{_resource("report.js")}</script>
</body>
</html>
"""


def _scores(report: Report) -> str:
    bars = "\n".join(_bar(score, index, report.chance) for index, score in enumerate(report.scores))
    chance = (
        f'<p class="note">The dashed line is chance, {_percent(report.chance)}: the best that anyone can do who sees '
        "every frame and hears nothing. Whiskers are 95&#8239;% intervals, by bootstrap over films.</p>"
        if report.chance is not None
        else '<p class="note">Whiskers are 95&#8239;% intervals, by bootstrap over films.</p>'
    )
    return f"""<section class="card scores">
<h2>{report.count} fresh questions about sound</h2>
<div class="bars">
{bars}
</div>
{chance}
{_forms(report)}
</section>"""


def _bar(score: Score, index: int, chance: float | None) -> str:
    low, high = score.interval
    dashed = "" if chance is None else f'<i class="chance" style="left:{100 * chance:.2f}%"></i>'
    return f"""<div class="bar model{index}">
<span class="name">{escape(score.name)}<small>{escape(score.source)}</small></span>
<span class="track"><i class="fill" style="width:{100 * score.accuracy:.2f}%"></i>{dashed}
<i class="whisker" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i></span>
<span class="value">{_percent(score.accuracy)}<small>{_percent(low)} to {_percent(high)}</small></span>
</div>"""


def _forms(report: Report) -> str:
    heads = "".join(f"<th>{escape(score.name)}</th>" for score in report.scores)
    rows = "\n".join(
        f"<tr><th>{escape(form.replace('_', ' '))}</th>"
        + "".join(f"<td>{_percent(score.by_form[form])}</td>" for score in report.scores)
        + "</tr>"
        for form in report.scores[0].by_form
    )
    return f"""<details open><summary>By kind of question</summary>
<table class="forms"><thead><tr><th></th>{heads}</tr></thead><tbody>
{rows}
</tbody></table></details>"""


def _film(film: Film, number: int) -> str:
    return f"""<article class="card film">
<div class="head">
<video controls playsinline preload="metadata" aria-label="Film {number}"
poster="{_data(_jpeg(film.pictures[0]), "image/jpeg")}" src="{_data(film.file, "video/mp4")}"></video>
{_answers(film.answers)}
</div>
<div class="timeline" data-duration="{film.duration_sec:.3f}">
<p class="lane">what the model sees</p>
{_frames(film)}
<p class="lane">what sounds</p>
{_sounds(film)}
{_wave(film)}
{_attention(film)}
{_axis(film)}
<i class="playhead"></i>
</div>
</article>"""


def _answers(answers: Sequence[Answer]) -> str:
    rows = "\n".join(
        f"""<tr><td class="question">{escape(answer.question)}</td><td>{escape(answer.truth)}</td>
{_verdict(answer.base, answer.base_right)}{_verdict(answer.patched, answer.patched_right)}</tr>"""
        for answer in answers
    )
    heads = "".join(f"<th>{head}</th>" for head in ("question", "truth", "base", "patched"))
    return f"""<table class="answers"><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table>"""


def _verdict(text: str, right: bool) -> str:
    kind, mark, said = ("right", "&#10003;", "right") if right else ("wrong", "&#10007;", "wrong")
    return f'<td class="{kind}"><b aria-label="{said}">{mark}</b> {escape(text) or "&mdash;"}</td>'


def _frames(film: Film) -> str:
    pictures = "".join(
        f'<figure><img alt="Frame at {time_sec:.1f} seconds" src="{_data(_jpeg(picture), "image/jpeg")}">'
        f"<figcaption>{time_sec:.1f} s</figcaption></figure>"
        for picture, time_sec in zip(film.pictures, film.times_sec, strict=True)
    )
    return f'<div class="frames">{pictures}</div>'


def _sounds(film: Film) -> str:
    marks = "".join(
        f'<span style="left:{100 * onset_sec / film.duration_sec:.2f}%">{escape(kind)}</span>'
        for onset_sec, kind in film.sounds
    )
    return f'<div class="sounds" aria-label="What really sounded">{marks}</div>'


def _wave(film: Film) -> str:
    """The loudest and the quietest sample of each column, as one closed outline."""
    length = round(film.duration_sec * film.wave_rate)
    wave = np.zeros(length, np.float32)
    wave[: len(film.wave)] = film.wave[:length]
    edges = np.linspace(0, length, WAVE_COLUMNS + 1).astype(int)
    columns = [wave[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True)]
    middle = WAVE_HEIGHT / 2
    scale = 0.96 * middle / max(float(np.abs(wave).max()), 1e-3)
    upper = [middle - scale * max(float(column.max()), 0.005 / scale) for column in columns]
    lower = [middle - scale * min(float(column.min()), -0.005 / scale) for column in columns]
    places = [(index + 0.5) * WIDTH / WAVE_COLUMNS for index in range(WAVE_COLUMNS)]
    outline = [*zip(places, upper, strict=True), *reversed([*zip(places, lower, strict=True)])]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
    return (
        f'<svg class="wave" viewBox="0 0 {WIDTH} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform of the sound"><polygon points="{points}"/></svg>'
    )


def _attention(film: Film) -> str:
    """One row a frame, one cell a side step at its place in time; windows of neighbours meet half-way."""
    if film.attention is None or film.side_times_sec is None or not len(film.side_times_sec):
        return ""
    times = np.asarray(film.side_times_sec)
    between = (times[1:] + times[:-1]) / 2
    edges = np.clip(np.concatenate([[0.0], between, [film.duration_sec]]), 0, film.duration_sec)
    strongest = max(float(film.attention.max()), 1e-9)
    rows = len(film.attention)
    cells = "".join(
        _cell(row, edges[step], edges[step + 1], float(film.attention[row, step]), strongest, film, times[step])
        for row, step in zip(*np.nonzero(film.attention > 0.002), strict=True)
    )
    lines = "".join(
        f'<line x1="0" x2="{WIDTH}" y1="{row * ROW_HEIGHT}" y2="{row * ROW_HEIGHT}"/>' for row in range(1, rows)
    )
    return (
        '<p class="lane">what the patch reads</p>'
        f'<svg class="attention" viewBox="0 0 {WIDTH} {rows * ROW_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="What each frame read from the sound">{lines}{cells}</svg>'
    )


def _cell(
    row: int, start_sec: float, stop_sec: float, weight: float, strongest: float, film: Film, time_sec: float
) -> str:
    left, right = (WIDTH * value / film.duration_sec for value in (start_sec, stop_sec))
    title = f"frame at {film.times_sec[row]:.1f} s, sound at {time_sec:.2f} s: {100 * weight:.0f} %"
    opacity = 0.08 + 0.92 * weight / strongest
    return (
        f'<rect x="{left:.1f}" y="{row * ROW_HEIGHT + 1}" width="{max(right - left - 1, 0.5):.1f}" '
        f'height="{ROW_HEIGHT - 2}" fill-opacity="{opacity:.3f}"><title>{title}</title></rect>'
    )


def _axis(film: Film) -> str:
    step = max(1, round(film.duration_sec / 8))
    ticks = "".join(
        f'<span style="left:{100 * second / film.duration_sec:.2f}%">{second} s</span>'
        for second in range(0, int(film.duration_sec) + 1, step)
    )
    return f'<div class="axis" aria-hidden="true">{ticks}</div>'


def _footer(report: Report) -> str:
    used = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return f"""<footer>
<p>Seed {report.seed}. The same page again: <code>{escape(report.command)}</code></p>
<p>{escape(used)}</p>
</footer>"""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}&#8239;%"


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _resource(name: str) -> str:
    return (files("pave") / "blindspot" / name).read_text(encoding="utf-8")
