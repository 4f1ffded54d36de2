"""Several channels on one base: trained jointly, patches trained apart and used together, and their interference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pave.blindspot.study.page.main_table import TRACKS
from pave.blindspot.study.page.markdown import percent, pointer, points, table, target
from pave.blindspot.study.page.verdicts import BOTH, JOINT_LOSS, compared, holds
from pave.blindspot.study.rows import Row, Score, Study

ASKED = (*TRACKS, "see", "both")
MODELS = {
    "base": "base as it is",
    **{track: f"patch `{track}`" for track in TRACKS},
    "pair": "patches `hear` and `views`, trained apart",
    "balanced": "the same two, residuals of one size",
    "apart": "all four patches, trained apart",
    "joint": "all four patches, trained together",
    "joint_every": "the same, every channel at once",
}


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of several channels."""
    yield "## Several channels on one base"
    yield (
        "Every model is asked about every track, with every channel that its patches read; the one that was trained "
        "on all tracks with the channel of the track, as in its training, and then with every channel. `both` asks "
        "which of the things behind a wall made a sound: it takes another camera and the sound."
    )
    rows = rows_of(study)
    lines = [[target(study, row, MODELS[name]), *_cells(row)] for name, row in rows.items()]
    yield table(["", *(f"`{name}`" for name in ASKED)], lines)
    said = [*_joint(study, rows), *_both(study, rows), *_interference(study, rows)]
    if said:
        yield "\n".join(f"- {sentence}" for sentence in said)


def rows_of(study: Study) -> dict[str, Row]:
    """Return the row of each model."""
    return {name: study.named(name) for name in MODELS}


def own_score(row: Row, asked: str) -> Score | None:
    """Return what a row scores on a track, if it was planned to be asked."""
    return row.score(asked) if asked in row.evaluations else None


def _cells(row: Row) -> list[str]:
    return [percent(row.score(asked)) if asked in row.evaluations else "" for asked in ASKED]


def _joint(study: Study, rows: Mapping[str, Row]) -> Iterator[str]:
    for track in TRACKS:
        joint, single = rows["joint"], rows[track]
        if (loss := joint.difference(single, track)) is not None:
            yield (
                f"Trained on all tracks: {points(loss)} on `{track}` against its own patch ({pointer(study, joint)}, "
                f"{pointer(study, single)}); that it stays within {100 * JOINT_LOSS:.0f} points "
                f"{holds(loss.value >= -JOINT_LOSS)}."
            )


def _both(study: Study, rows: Mapping[str, Row]) -> Iterator[str]:
    for name, how in (("pair", "as they are"), ("balanced", "with residuals of one size")):
        if (score := rows[name].score("both")) is not None:
            yield (
                f"Trained apart, together they answer {percent(score)} of `both` {how} "
                f"({pointer(study, rows[name])}); that it is {100 * BOTH:.0f} % or more {holds(score.value >= BOTH)}."
            )
    for name in ("pair", "hear", "views"):
        if (gain := rows["balanced"].difference(rows[name], "both")) is not None:
            yield (
                f"Residuals of one size: {points(gain)} on `both` against {MODELS[name]} "
                f"({pointer(study, rows['balanced'])}, {pointer(study, rows[name])}): {compared(gain)}."
            )


def _interference(study: Study, rows: Mapping[str, Row]) -> Iterator[str]:
    """Name what each patch does to the tracks of the others, where it was clear."""
    for name in TRACKS:
        told = []
        for asked in (*TRACKS, "see"):
            change = rows[name].difference(rows["base"], asked) if asked != name else None
            if change is not None and compared(change) != "no clear difference":
                told.append(f"`{asked}` {compared(change)}, {points(change)}")
        if rows[name].found and rows["base"].found:
            where = f"({pointer(study, rows[name])}, {pointer(study, rows['base'])})"
            said = "; ".join(told) if told else "no clear difference anywhere"
            yield f"Patch `{name}` on the tracks of others, against the base {where}: {said}."
