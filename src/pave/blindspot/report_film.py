"""One film on the demonstration's page: what the model saw, what the patch was given, and what both answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from pave.evaluation.report.html import WIDTH, data_uri, frame_strip, jpeg, verdict, waveform

ROW_HEIGHT = 13


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
class Sound:
    """What is heard.

    Args:
        wave: Mono, -1..1 (L,).
        rate: Samples a second.
        events: Onset in seconds and kind of what really sounded.
    """

    wave: np.ndarray
    rate: int
    events: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Strip:
    """Pictures in a row, evenly spaced in time, such as those of another camera; uint8 (T,H,W,3)."""

    name: str
    pictures: np.ndarray


@dataclass(frozen=True)
class Film:
    """One film and what was asked about it.

    Args:
        file: The mp4 file.
        duration_sec: Its length.
        pictures: Frames that the base saw, uint8 (T,H,W,3).
        times_sec: Their times (T,).
        sound: Its sound, where the patch hears.
        strips: Other pictures that the patch is given.
        attention: How much each frame read from each side step (T,K); ``None`` if there is nothing to show.
        side_times_sec: Centres of the side steps (K,).
        answers: Questions and answers.
    """

    file: bytes
    duration_sec: float
    pictures: np.ndarray
    times_sec: np.ndarray
    sound: Sound | None
    strips: Sequence[Strip]
    attention: np.ndarray | None
    side_times_sec: np.ndarray | None
    answers: Sequence[Answer]


def render_film(film: Film, number: int) -> str:
    """Return a film as HTML, with its file and all pictures inside."""
    return f"""<article class="card film">
<div class="head">
<video controls playsinline preload="metadata" aria-label="Film {number}"
poster="{data_uri(jpeg(film.pictures[0]), "image/jpeg")}" src="{data_uri(film.file, "video/mp4")}"></video>
{_answers(film.answers)}
</div>
<div class="timeline" data-duration="{film.duration_sec:.3f}">
<p class="lane">what the model sees</p>
{frame_strip(film.pictures, film.times_sec)}
{_heard(film)}
{"".join(_strip(strip) for strip in film.strips)}
{_attention(film)}
{_axis(film)}
<i class="playhead"></i>
</div>
</article>"""


def _answers(answers: Sequence[Answer]) -> str:
    rows = "\n".join(
        f"""<tr><td class="question">{escape(answer.question)}</td><td>{escape(answer.truth)}</td>
{verdict(answer.base, answer.base_right)}{verdict(answer.patched, answer.patched_right)}</tr>"""
        for answer in answers
    )
    heads = "".join(f"<th>{head}</th>" for head in ("question", "truth", "base", "patched"))
    return f"""<table class="answers"><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table>"""


def _strip(strip: Strip) -> str:
    pictures = "".join(
        f'<figure><img alt="{escape(strip.name)}" src="{data_uri(jpeg(picture), "image/jpeg")}"></figure>'
        for picture in strip.pictures
    )
    return f'<p class="lane">{escape(strip.name)}</p><div class="frames">{pictures}</div>'


def _heard(film: Film) -> str:
    if film.sound is None:
        return ""
    events = _events(film.sound, film.duration_sec)
    wave = waveform(film.sound.wave, round(film.duration_sec * film.sound.rate))
    return f'<p class="lane">what sounds</p>{events}{wave}'


def _events(sound: Sound, duration_sec: float) -> str:
    marks = "".join(
        f'<span style="left:{100 * onset_sec / duration_sec:.2f}%">{escape(kind)}</span>'
        for onset_sec, kind in sound.events
    )
    return f'<div class="sounds" aria-label="What really sounded">{marks}</div>'


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
        f'aria-label="What each frame read">{lines}{cells}</svg>'
    )


def _cell(
    row: int, start_sec: float, stop_sec: float, weight: float, strongest: float, film: Film, time_sec: float
) -> str:
    left, right = (WIDTH * value / film.duration_sec for value in (start_sec, stop_sec))
    title = f"frame at {film.times_sec[row]:.1f} s, read at {time_sec:.2f} s: {100 * weight:.0f} %"
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
