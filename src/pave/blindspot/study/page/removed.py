"""Ideas that were built, measured beside the default and taken out: their results outlive their code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pave.blindspot.study.page.markdown import percent, pointer, points, table, target
from pave.blindspot.study.page.verdicts import compared
from pave.blindspot.study.rows import Row, Study
from pave.config import from_dict, read_json, read_yaml
from pave.errors import InputError

FOLDER = "removed"
IDEAS_FILE = "ideas.yaml"


@dataclass(frozen=True)
class Idea:
    """An idea that did not help.

    Args:
        idea: What it was.
        after: Whose it was.
        setting: The field that turned it on, and its value.
        beside: The row of the ablations that it is compared with.
        results: Names of its result files, one a seed.
        commit: The last that has it.
    """

    idea: str
    after: str
    setting: str
    beside: str
    results: list[str]
    commit: str


def read_ideas(folder: Path) -> list[tuple[Idea, Row]]:
    """Read the ideas of a folder, each with the row of its results; none if the folder is not there.

    Raises:
        InputError: If something in it cannot be used.
    """
    path = folder / IDEAS_FILE
    if not path.is_file():
        return []
    ideas = [from_dict(Idea, entry, f"{path}: idea {number}") for number, entry in enumerate(read_yaml(path))]
    return [(idea, _row(idea, folder)) for idea in ideas]


def section(study: Study, ideas: Sequence[tuple[Idea, Row]]) -> Iterator[str]:
    """Yield the paragraphs of what was taken out; nothing if nothing was.

    Args:
        study: The ablations.
        ideas: The ideas with their rows.
    """
    if not ideas:
        return
    yield "### Tried and taken out"
    yield (
        "Ideas of later work that were built here, trained like the rows above, and did not help: they are no part of "
        "the code, and the commit is the last that has them. The difference is that to the default, on the same "
        "questions."
    )
    lines = [_line(study, idea, row) for idea, row in ideas]
    yield table(["idea", "after", "field", "accuracy", "difference", "", "default", "commit"], lines)


def _row(idea: Idea, folder: Path) -> Row:
    if not idea.results:
        raise InputError(f"{folder / IDEAS_FILE}: {idea.idea!r} names no 'results'; give at least one result file")
    paths = [folder / f"{name}.json" for name in idea.results]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{folder / IDEAS_FILE}: {path} is missing; remove it from 'results', or bring it back")
    found = [read_json(path) for path in paths]
    return Row(idea.results[0].rpartition("-")[0], found[0]["labels"], (), found)


def _line(study: Study, idea: Idea, row: Row) -> list[str]:
    default, track = study.named(idea.beside), row.labels["track"]
    difference = row.difference(default, track)
    told = ["not run", ""] if difference is None else [points(difference), compared(difference)]
    text = target(study, row, idea.idea)
    return [
        text,
        idea.after,
        f"`{idea.setting}`",
        percent(row.score(track)),
        *told,
        pointer(study, default),
        idea.commit,
    ]
