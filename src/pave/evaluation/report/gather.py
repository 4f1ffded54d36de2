"""Reads what evaluations, comparisons and probes left, to be put on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pave.config import read_json
from pave.errors import InputError
from pave.evaluation.figures import number
from pave.evaluation.folder import COMPARISON_FILE, PROBE_FILE, RESPONSES_FILE, RESULT_FILE, folder_name
from pave.evaluation.probe_plot import REAL, ProbeRow
from pave.evaluation.responses import Response, read_responses


@dataclass(frozen=True)
class Entry:
    """One model on one set.

    Args:
        name: Of the model, unique on the page.
        source: Folder that it was read from.
        result: As ``result.json`` has it.
        responses: Its answers.
    """

    name: str
    source: str
    result: Mapping[str, Any]
    responses: Sequence[Response]


@dataclass(frozen=True)
class ShownProbe:
    """One probe.

    Args:
        name: Of the model.
        rows: Its table.
        warnings: What it says against the patch.
        chance: Of the real run, if known.
        left_out: Variants that could not be done, with the reason.
    """

    name: str
    rows: Sequence[ProbeRow]
    warnings: Sequence[str]
    chance: float | None
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Gathered:
    """All that goes on the page: results, differences as ``comparison.json`` has them, probes."""

    entries: Sequence[Entry]
    differences: Sequence[Mapping[str, Any]]
    probes: Sequence[ShownProbe]


def gather(folders: Sequence[Path]) -> Gathered:
    """Read result folders of any kind.

    Raises:
        InputError: If one holds no finished result.
    """
    entries: list[Entry] = []
    compared: list[tuple[Mapping[str, Entry], Mapping[str, Any]]] = []
    probed: list[tuple[Entry, Mapping[str, Any]]] = []
    for folder in folders:
        if (folder / COMPARISON_FILE).is_file():
            found = read_json(folder / COMPARISON_FILE)
            models = {
                name: _entry(name, folder / folder_name(number, name), result)
                for number, (name, result) in enumerate(found["models"].items(), start=1)
            }
            entries += models.values()
            compared += [(models, difference) for difference in found["differences"]]
        elif (folder / PROBE_FILE).is_file():
            found = read_json(folder / PROBE_FILE)
            entries.append(_entry(model_name(found["result"]), folder / folder_name(1, REAL), found["result"]))
            probed.append((entries[-1], found))
        elif (folder / RESULT_FILE).is_file():
            result = read_json(folder / RESULT_FILE)
            entries.append(_entry(model_name(result), folder, result))
        else:
            raise InputError(
                f"{folder}: holds no finished result ({RESULT_FILE}, {COMPARISON_FILE} or {PROBE_FILE}); "
                "give an --out folder of pave eval"
            )
    names = _names(entries)
    differences = [
        {**difference, **{side: names[models[difference[side]].source] for side in ("model", "than")}}
        for models, difference in compared
    ]
    probes = [_probe(names[entry.source], found) for entry, found in probed]
    shown = [replace(entry, name=names[entry.source]) for entry in entries]
    return Gathered(shown, differences, probes)


def model_name(result: Mapping[str, Any]) -> str:
    """Return what a result's model is called: its base and the patches as the user named them."""
    sources = result["config"].get("patches") or result["patches"]
    return " + ".join([Path(result["base"]).name, *(Path(source).name for source in sources)])


def _probe(name: str, found: Mapping[str, Any]) -> ShownProbe:
    rows = [_row(row) for row in found["rows"]]
    return ShownProbe(name, rows, found["warnings"], found["chance"], found["left_out"])


def _row(row: Mapping[str, Any]) -> ProbeRow:
    found = {**row, "value": number(row["value"]), "interval": tuple(map(number, row["interval"]))}
    if row["drop_interval"] is not None:
        found |= {"drop": number(row["drop"]), "drop_interval": tuple(map(number, row["drop_interval"]))}
    return ProbeRow(**found)


def _entry(name: str, folder: Path, result: Mapping[str, Any]) -> Entry:
    return Entry(name, str(folder), result, read_responses(folder / RESPONSES_FILE))


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what the entry of each folder is called, with that folder where several have one name."""
    count = Counter(entry.name for entry in entries)
    return {
        entry.source: entry.name if count[entry.name] == 1 else f"{entry.name} ({entry.source})" for entry in entries
    }
