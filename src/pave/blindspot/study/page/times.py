"""Side channels that are not evenly timed: the reference's split by number beside windows in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pave.blindspot.study.page.main_table import TRACKS
from pave.blindspot.study.page.markdown import listed, percent, pointer, signed, table, target
from pave.blindspot.study.page.verdicts import compared
from pave.blindspot.study.rows import Study

CONDITIONS = {
    "real": "as the encoder makes it",
    "sparse": "half of the steps lost, the others at their true times",
    "uneven": "each step taken off its moment, and truly timed",
    "late": "the recording begins after the film",
    "shifted": "the clock is wrong by the same everywhere, what is heard or seen comes too late",
    "shifted_back": "likewise, too early",
    "jittered": "each time is wrong by something else",
}
TOGETHER = (("shifted", "shifted_back"),)
"""Conditions that are compared in their mean: which way a clock is wrong is nothing that a method can know."""

METHODS = {"reference": "by number (the reference's patch)", "default": "by seconds (the default)"}


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of uneven times."""
    yield "## What are seconds worth?"
    yield (
        "Patches of the main table, asked with side channels that were changed after training. "
        + " ".join(f"`{name}`: {text}." for name, text in CONDITIONS.items())
        + " In `sparse`, `uneven` and `late` the times are true, and who reads them knows where the steps that are "
        "left belong. In `shifted` and `jittered` the times are wrong, and seconds know nothing that numbers do not."
    )
    lines = []
    for track in TRACKS:
        for method, text in METHODS.items():
            row = study.find(track=track, method=method)
            scores = [percent(row.score(condition)) for condition in CONDITIONS]
            lines.append([f"`{track}`", target(study, row, text), *scores])
    yield table(["track", "", *(f"`{name}`" for name in CONDITIONS)], lines)
    apart = [name for name in CONDITIONS if not any(name in names for names in TOGETHER)]
    said = [sentence for name in apart for sentence in _verdict(study, f"`{name}`", name)]
    for names in TOGETHER:
        said += _verdict(study, f"{listed([f'`{name}`' for name in names])} together", names)
    if said:
        yield "\n".join(f"- {sentence}" for sentence in said)


def _verdict(study: Study, condition: str, evaluations: str | Sequence[str]) -> Iterator[str]:
    told = []
    for track in TRACKS:
        own, other = (study.find(track=track, method=method) for method in ("default", "reference"))
        if (gain := own.difference(other, evaluations)) is not None:
            rows = f"{pointer(study, own)}, {pointer(study, other)}"
            told.append(f"`{track}` {compared(gain)}, {signed(gain.value)} points ({rows})")
    if told:
        yield f"{condition}, seconds against numbers: {'; '.join(told)}."
