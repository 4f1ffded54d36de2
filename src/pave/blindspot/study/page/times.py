"""Side channels that are not evenly timed: the reference's split by number beside windows in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pave.blindspot.study.page.main_table import TRACKS
from pave.blindspot.study.page.markdown import listed, named_seeds, percent, pointer, points, signed, table, target
from pave.blindspot.study.page.verdicts import compared, where_both_learned
from pave.blindspot.study.rows import Row, Study, pooled_difference

CONDITIONS = {
    "real": "as the encoder makes it",
    "sparse": "half of the steps lost, the others at their true times",
    "uneven": "each step taken off its moment, and truly timed",
    "late": "the recording begins after the film",
    "shifted": "the clock is wrong by the same everywhere, what is heard or seen comes too late",
    "shifted_back": "likewise, too early",
    "jittered": "each time is wrong by something else",
}
REAL = "real"
TOGETHER = (("shifted", "shifted_back"),)
"""Conditions that are compared in their mean: which way a clock is wrong is nothing that a method can know."""

METHODS = {"reference": "the reference's patch, by number", "default": "the default, by seconds"}


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of uneven times."""
    yield "## What are seconds worth?"
    yield (
        "Patches of the main table, asked with side channels that were changed after training. "
        + " ".join(f"`{name}`: {text}." for name, text in CONDITIONS.items())
        + " In `sparse`, `uneven` and `late` the times are true, and who reads them knows where the steps that are "
        "left belong. In `shifted` and `jittered` the times are wrong, and seconds know nothing that numbers do not. "
        "The reference's patch is another in more than that: its values are its keys, it asks from before the "
        "projector, it has a newline a row and a rate of its own. What the split alone is worth, with all else as in "
        "the default, is [`alignment=index`](#ablations-hear-alignment-index) of the ablations."
    )
    lines = []
    for track in TRACKS:
        for method, text in METHODS.items():
            row = study.find(track=track, method=method)
            scores = [percent(row.score(condition)) for condition in CONDITIONS]
            lines.append([f"`{track}`", target(study, row, text), *scores])
    yield table(["track", "", *(f"`{name}`" for name in CONDITIONS)], lines)
    said = [sentence for text, names in _compared_conditions() for sentence in _verdict(study, text, names)]
    said += [sentence for track in TRACKS for sentence in _where_both_learned(study, track)]
    said += _on_all_tracks(study)
    if said:
        yield "\n".join(f"- {sentence}" for sentence in said)


def _compared_conditions() -> Iterator[tuple[str, str | Sequence[str]]]:
    """Yield what is said of the conditions that are compared, and their evaluations."""
    yield from ((f"`{name}`", name) for name in CONDITIONS if not any(name in names for names in TOGETHER))
    yield from ((f"{listed([f'`{name}`' for name in names])} together", names) for names in TOGETHER)


def _rows(study: Study, track: str) -> tuple[Row, Row]:
    return study.find(track=track, method="default"), study.find(track=track, method="reference")


def _where_both_learned(study: Study, track: str) -> Iterator[str]:
    rows = _rows(study, track)
    seeds, own, other = where_both_learned(*rows, REAL)
    told = []
    for condition, evaluations in _compared_conditions() if seeds else ():
        if (gain := own.difference(other, evaluations)) is not None:
            told.append(f"{condition} {compared(gain)}, {signed(gain.value)} points")
    if told:
        pointers = ", ".join(pointer(study, row) for row in rows)
        yield f"`{track}` without {named_seeds(seeds)} ({pointers}): {'; '.join(told)}."


def _on_all_tracks(study: Study) -> Iterator[str]:
    pairs = [where_both_learned(*_rows(study, track), REAL)[1:] for track in TRACKS]
    told = []
    for condition, evaluations in _compared_conditions():
        if (gain := pooled_difference(pairs, evaluations)) is not None:
            told.append(f"{condition} {compared(gain)}, {points(gain)}")
    if told:
        counted = [row for pair in pairs if all(row.found for row in pair) for row in pair]
        pointers = ", ".join(pointer(study, row) for row in counted)
        learned = "without seeds in which one of the two has not learned"
        yield f"All tracks together, {learned} ({pointers}): {'; '.join(told)}."


def _verdict(study: Study, condition: str, evaluations: str | Sequence[str]) -> Iterator[str]:
    told = []
    for track in TRACKS:
        own, other = _rows(study, track)
        if (gain := own.difference(other, evaluations)) is not None:
            rows = f"{pointer(study, own)}, {pointer(study, other)}"
            told.append(f"`{track}` {compared(gain)}, {signed(gain.value)} points ({rows})")
    if told:
        yield f"{condition}, the default against the reference's patch: {'; '.join(told)}."
