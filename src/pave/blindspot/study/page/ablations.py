"""Ablations: one field at a time beside the default, and whether the defaults follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pave.blindspot.study.page.markdown import NOT_RUN, percent, pointer, seeds, signed, table, target
from pave.blindspot.study.page.verdicts import compared
from pave.blindspot.study.rows import Row, Score, Study

DEFAULT = "default"
CONDITIONS = ("missing", "see_missing", "sparse", "uneven", "late", "shifted", "jittered")


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of the ablations."""
    yield "## Which choices matter?"
    yield (
        "One field of the configuration at a time. In brackets the difference to the default, in points, on the same "
        "questions; bold where its 95 % interval leaves 0 out. `missing`, `see_missing`: the channel is taken away; "
        "the columns that follow are those of the section on seconds."
    )
    for track in study.values("track"):
        rows = [row for row in study.rows if row.labels["track"] == track]
        default = study.find(track=track, variant=DEFAULT)
        yield f"### On `{track}`"
        asked = [track, "see", *(name for name in CONDITIONS if any(name in row.evaluations for row in rows))]
        lines = [_line(study, row, default, asked) for row in rows]
        yield table(["", *(f"`{name}`" for name in asked), "seeds"], lines)
    said = list(_verdicts(study))
    if said:
        yield "### What decides each default"
        yield "\n".join(f"- {sentence}" for sentence in said)


def fields_of(study: Study) -> list[str]:
    """Return the fields that are varied."""
    return list(dict.fromkeys(variant.split("=")[0] for variant in study.values("variant") if variant != DEFAULT))


def differences(study: Study, field: str, track: str) -> list[tuple[Row, Score]]:
    """Return the rows of a field on a track that differ from the default, with their difference."""
    default = study.find(track=track, variant=DEFAULT)
    rows = [row for row in study.rows if row.labels["track"] == track and row.labels["variant"].split("=")[0] == field]
    found = [(row, row.difference(default, track)) for row in rows]
    return [(row, difference) for row, difference in found if difference is not None]


def _line(study: Study, row: Row, default: Row, asked: Sequence[str]) -> list[str]:
    cells = [_cell(row, default, name) if name in row.evaluations else "" for name in asked]
    return [target(study, row, f"`{row.labels['variant']}`"), *cells, seeds(row)]


def _cell(row: Row, default: Row, evaluation: str) -> str:
    score = row.score(evaluation)
    if score is None:
        return NOT_RUN
    if row is default or (difference := row.difference(default, evaluation)) is None:
        return percent(score)
    told = signed(difference.value)
    return f"{100 * score.value:.1f} % ({told if compared(difference) == 'no clear difference' else f'**{told}**'})"


def _verdicts(study: Study) -> Iterator[str]:
    for field in fields_of(study):
        better, worse, rows = [], [], []
        for track in study.values("track"):
            for row, difference in differences(study, field, track):
                rows.append(row)
                told = f"{pointer(study, row)} {signed(difference.value)}"
                if compared(difference) == "clearly better":
                    better.append(told)
                elif compared(difference) == "clearly worse":
                    worse.append(told)
        if not rows:
            continue
        said = "another value is clearly better" if better else "no other value is clearly better"
        parts = [f"{label}: {', '.join(found)}" for label, found in (("better", better), ("worse", worse)) if found]
        looked = "" if better or worse else f" ({', '.join(pointer(study, row) for row in rows)})"
        yield f"`{field}`: {said}{looked}{'; ' if parts else ''}{'; '.join(parts)}."
