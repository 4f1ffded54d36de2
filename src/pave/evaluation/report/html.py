"""Pieces of pages that need nothing beside them: the page itself, bars, pictures, sounds and waveforms inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
import soundfile
from PIL import Image

WIDTH = 1000
"""Horizontal units of a drawing, whatever it stands for."""

WAVE_HEIGHT = 80
WAVE_COLUMNS = 500


@dataclass(frozen=True)
class Bar:
    """One bar with its interval.

    Args:
        name: What it is of.
        note: Small print under the name.
        share: Its length, 0 to 1, and those of its interval's ends.
        low: As ``share``.
        high: As ``share``.
        value: Its value in words.
        interval: Its interval in words.
        chance: Place of a dashed line, 0 to 1.
    """

    name: str
    note: str
    share: float
    low: float
    high: float
    value: str
    interval: str
    chance: float | None = None


def document(title: str, body: str, script: str = "") -> str:
    """Return a whole page in light and dark, with its styles inside."""
    style = (files("pave") / "evaluation" / "report" / "page.css").read_text(encoding="utf-8")
    scripts = f"<script>\n{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
{scripts}</body>
</html>
"""


def bar(shown: Bar, index: int) -> str:
    """Return a bar in the colour of model number ``index``."""
    dashed = "" if shown.chance is None else f'<i class="chance" style="left:{100 * shown.chance:.2f}%"></i>'
    return f"""<div class="bar model{index}">
<span class="name">{escape(shown.name)}<small>{escape(shown.note)}</small></span>
<span class="track"><i class="fill" style="width:{100 * shown.share:.2f}%"></i>{dashed}
<i class="whisker" style="left:{100 * shown.low:.2f}%;width:{100 * (shown.high - shown.low):.2f}%"></i></span>
<span class="value">{shown.value}<small>{shown.interval}</small></span>
</div>"""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, the first column of which names its rows.

    Args:
        heads: Headings, as text.
        rows: For each row its name, as text, and its other cells, as HTML.
    """
    shown = "".join(f"<th>{escape(head)}</th>" for head in heads)
    lines = "\n".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows
    )
    return f'<table class="forms"><thead><tr>{shown}</tr></thead><tbody>\n{lines}\n</tbody></table>'


def verdict(text: str, right: bool) -> str:
    """Return an answer as a table cell that says whether it is right."""
    kind, mark, said = ("right", "&#10003;", "right") if right else ("wrong", "&#10007;", "wrong")
    return f'<td class="{kind}"><b aria-label="{said}">{mark}</b> {escape(text) or "&mdash;"}</td>'


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.1f}&#8239;%"


def frame_strip(pictures: np.ndarray, times_sec: np.ndarray) -> str:
    """Return frames, uint8 (T,H,W,3), in a row with their times (T,)."""
    figures = "".join(
        f'<figure><img alt="Frame at {time_sec:.1f} seconds" src="{data_uri(jpeg(picture), "image/jpeg")}">'
        f"<figcaption>{time_sec:.1f} s</figcaption></figure>"
        for picture, time_sec in zip(pictures, times_sec, strict=True)
    )
    return f'<div class="frames">{figures}</div>'


def waveform(samples: np.ndarray, length: int) -> str:
    """Return the first ``length`` samples of a mono sound (L,), -1 to 1, as one closed outline."""
    wave = np.zeros(length, np.float32)
    wave[: len(samples)] = samples[:length]
    edges = np.linspace(0, length, WAVE_COLUMNS + 1).astype(int)
    columns = [wave[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True)]
    middle = WAVE_HEIGHT / 2
    scale = 0.96 * middle / max(float(np.abs(wave).max()), 1e-3)
    upper = [middle - scale * max(float(column.max(initial=-1)), 0.005 / scale) for column in columns]
    lower = [middle - scale * min(float(column.min(initial=1)), -0.005 / scale) for column in columns]
    places = [(index + 0.5) * WIDTH / WAVE_COLUMNS for index in range(WAVE_COLUMNS)]
    outline = [*zip(places, upper, strict=True), *reversed([*zip(places, lower, strict=True)])]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
    return (
        f'<svg class="wave" viewBox="0 0 {WIDTH} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform of the sound"><polygon points="{points}"/></svg>'
    )


def player(samples: np.ndarray, rate: int) -> str:
    """Return a mono sound (L,), -1 to 1, to be played."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return f'<audio controls preload="metadata" src="{data_uri(buffer.getvalue(), "audio/wav")}"></audio>'


def jpeg(picture: np.ndarray) -> bytes:
    """Return a picture, uint8 (H,W,3), as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Return a file's content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
