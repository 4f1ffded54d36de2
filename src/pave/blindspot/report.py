"""The demonstration's page: one HTML file that needs nothing beside it, in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from pave.blindspot.report_film import Film, render_film
from pave.evaluation.report.html import Bar, bar, document, percent


@dataclass(frozen=True)
class Score:
    """Accuracy of one model, from a source such as a folder, with its 95 % interval, and by kind of question."""

    name: str
    source: str
    accuracy: float
    interval: tuple[float, float]
    by_form: Mapping[str, float]


@dataclass(frozen=True)
class Chapter:
    """One track.

    Args:
        track: Its name.
        about: What the questions are about, in a few words.
        without: What someone does who only sees the frames, such as "hears nothing".
        films: Films, with what was asked about them.
        scores: Of base and patched model.
        chance: Of the best answerer without the side channel; ``None`` if the questions do not say.
        count: Questions that the accuracies are over.
    """

    track: str
    about: str
    without: str
    films: Sequence[Film]
    scores: Sequence[Score]
    chance: float | None
    count: int


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    chapters: Sequence[Chapter]
    seed: int
    command: str
    versions: Mapping[str, str]


def render_report(report: Report) -> str:
    """Return the page as HTML, with styles, pictures and films inside."""
    chapters = "\n".join(_chapter(chapter) for chapter in report.chapters)
    body = f"""<header>
<p class="kicker">pave demo</p>
<h1>What a Video LLM misses</h1>
<p class="lead">A small Video LLM looks at a few frames of each film, and is asked what no frame can tell. The same
model, its weights untouched, then answers again with a patch that adds a side channel to what it sees.</p>
</header>
{_summary(report.chapters)}
{chapters}
{_footer(report)}"""
    return document("What a Video LLM misses", body, _resource("report.js"))


def _summary(chapters: Sequence[Chapter]) -> str:
    """All tracks in one table; where there is but one, its own figures say it all."""
    if len(chapters) < 2:
        return ""
    heads = "".join(f"<th>{escape(score.name)}</th>" for score in chapters[0].scores)
    rows = "\n".join(
        f"<tr><th>{escape(chapter.about)}</th>"
        + "".join(f"<td>{percent(score.accuracy)}</td>" for score in chapter.scores)
        + f"<td>{'' if chapter.chance is None else percent(chapter.chance)}</td></tr>"
        for chapter in chapters
    )
    return f"""<section class="card">
<table class="forms"><thead><tr><th>questions about</th>{heads}<th>chance</th></tr></thead><tbody>
{rows}
</tbody></table>
</section>"""


def _chapter(chapter: Chapter) -> str:
    films = "\n".join(render_film(film, number) for number, film in enumerate(chapter.films, start=1))
    return f"""{_scores(chapter)}
<section>
<h2>Films it was asked about</h2>
<p class="note">Each film was made for this page. Play one: the line runs over the frames that the model saw and over
what the patch was given. In the bottom grid a row is a frame and a column a moment of the side channel; the stronger a
cell's colour, the more that frame took from that moment.</p>
{films}
</section>"""


def _scores(chapter: Chapter) -> str:
    bars = "\n".join(_bar(score, index, chapter.chance) for index, score in enumerate(chapter.scores))
    chance = (
        f'<p class="note">The dashed line is chance, {percent(chapter.chance)}: the best that anyone can do who sees '
        f"every frame that the model sees and {escape(chapter.without)}. Whiskers are 95&#8239;% intervals, by "
        "bootstrap over films.</p>"
        if chapter.chance is not None
        else '<p class="note">Whiskers are 95&#8239;% intervals, by bootstrap over films.</p>'
    )
    return f"""<section class="card scores" id="{escape(chapter.track)}">
<h2>{chapter.count} fresh questions about {escape(chapter.about)}</h2>
<div class="bars">
{bars}
</div>
{chance}
{_forms(chapter)}
</section>"""


def _bar(score: Score, index: int, chance: float | None) -> str:
    low, high = score.interval
    interval = f"{percent(low)} to {percent(high)}"
    share = score.accuracy
    return bar(Bar(score.name, score.source, share, low, high, percent(share), interval, chance), index)


def _forms(chapter: Chapter) -> str:
    heads = "".join(f"<th>{escape(score.name)}</th>" for score in chapter.scores)
    rows = "\n".join(
        f"<tr><th>{escape(form.replace('_', ' '))}</th>"
        + "".join(f"<td>{percent(score.by_form[form])}</td>" for score in chapter.scores)
        + "</tr>"
        for form in chapter.scores[0].by_form
    )
    return f"""<details open><summary>By kind of question</summary>
<table class="forms"><thead><tr><th></th>{heads}</tr></thead><tbody>
{rows}
</tbody></table></details>"""


def _footer(report: Report) -> str:
    used = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return f"""<footer>
<p>Seed {report.seed}. The same page again: <code>{escape(report.command)}</code></p>
<p>{escape(used)}</p>
</footer>"""


def _resource(name: str) -> str:
    return (files("pave") / "blindspot" / name).read_text(encoding="utf-8")
