"""Scores responses again, under any convention, without the model that gave them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pave.config import read_json
from pave.data.jsonl import read_samples, samples_file
from pave.errors import InputError
from pave.evaluation.conventions.pairing import check_answered
from pave.evaluation.figures import plain
from pave.evaluation.folder import RESPONSES_FILE, RESULT_FILE, RUN_FILE
from pave.evaluation.questions import check_ids, with_references
from pave.evaluation.responses import Response, read_responses, response_to
from pave.evaluation.scoring import score, scoring_of


def rescore(
    source: Path,
    convention: str | None = None,
    benchmark: str | None = None,
    data: Sequence[Path] = (),
    seed: int = 0,
    skip_missing: bool = False,
) -> dict[str, Any]:
    """Return all numbers over old responses.

    Args:
        source: A result folder or its responses; with ``data`` a file of predictions, ``{"id", "prediction"}`` a line.
        convention: How they are scored; by default the benchmark's first.
        benchmark: By default the one that the samples name.
        data: Data sets that the predictions are for, where ``source`` does not hold questions and references itself.
        seed: Of the bootstrap.
        skip_missing: Leave samples whose media lack out of the scores; otherwise they count as wrong.

    Raises:
        InputError: If a file cannot be used, ids do not fit, or benchmark or convention is unknown.
    """
    path = source / RESPONSES_FILE if source.is_dir() else source
    if data:
        responses, unreferenced = joined(path, data)
    else:
        responses, unreferenced = read_responses(path), 0
        if (path.parent / RUN_FILE).is_file():
            unreferenced = _evaluated(path.parent, len(responses))
    scoring = scoring_of(responses, benchmark, convention, seed, skip_missing)
    found: dict[str, Any] = plain({**score(responses, scoring, unreferenced), "source": str(path)})
    return found


def _evaluated(folder: Path, responses: int) -> int:
    """Check that an evaluation is done, and return how many samples it left out, having no answer to compare with.

    Raises:
        InputError: If it asked for more responses than there are.
    """
    asked = read_json(folder / RUN_FILE)["samples"]
    if responses < asked or not (folder / RESULT_FILE).is_file():
        raise InputError(
            f"{folder}: holds {responses} of {asked} responses and is not done; "
            "run the same pave eval again to finish it"
        )
    return int(read_json(folder / RESULT_FILE)["skipped_reasons"].get("no answer", 0))


def joined(path: Path, data: Sequence[Path]) -> tuple[list[Response], int]:
    """Return predictions beside the samples of data sets, and how many samples have no reference.

    Raises:
        InputError: If an id is repeated or unknown, or a sample with a reference has no prediction.
    """
    samples = [sample for folder in data for sample in read_samples(folder, _channels(folder))]
    check_ids(samples, "score", "score one set at a time")
    predictions = read_predictions(path)
    questions = with_references(samples)
    wanted = [sample.id for sample in questions.samples if not sample.extra.get("missing")]
    check_answered(predictions, {sample.id for sample in samples}, wanted, str(path))
    return [
        response_to(sample, predictions.get(sample.id, "")) for sample in questions.samples
    ], questions.unreferenced


def read_predictions(path: Path) -> dict[str, str]:
    """Read predictions by id.

    Raises:
        InputError: If the file is missing, a line is none, or an id is repeated.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a file of predictions")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            record = json.loads(line)
            name, prediction = record["id"], record["prediction"]
        except (ValueError, TypeError, KeyError):
            raise InputError(f'{path}:{number}: write {{"id": "...", "prediction": "..."}} a line') from None
        if not isinstance(name, str) or not isinstance(prediction, str):
            raise InputError(f"{path}:{number}: id and prediction must be texts")
        if name in found:
            raise InputError(f"{path}:{number}: id {name!r} is there a second time; keep one of them")
        found[name] = prediction
    return found


def _channels(folder: Path) -> set[str]:
    """Return every channel that the lines of a data set name; no model says which ones it reads."""
    named: set[str] = set()
    for line in samples_file(folder).read_bytes().splitlines():
        try:
            named |= set(json.loads(line).get("side") or {})
        except (ValueError, AttributeError, TypeError):
            continue
    return named
