"""Predictions joined to the samples that they answer, by id, never by position."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pave.errors import InputError, nearest
from pave.evaluation.conventions.convention import Scored


def pair(
    samples: Sequence[Mapping[str, Any]], predictions: Iterable[tuple[str, str]], source: str = "predictions"
) -> list[Scored]:
    """Join predictions to samples.

    Args:
        samples: Records of a JSONL data set: ``id``, ``references`` (or one ``answer``), and what the scorers read.
        predictions: Ids and responses, in any order.
        source: What the predictions are called in an error message, such as their file.

    Returns:
        One entry a sample, in the order of ``samples``.

    Raises:
        InputError: If a prediction is missing, stands twice, is no text or belongs to no sample, or a sample has no
            reference; the message names the first one.
    """
    known = {str(sample["id"]): sample for sample in samples}
    given: dict[str, str] = {}
    for name, text in predictions:
        if name in given:
            raise InputError(f"{source}: id {name!r} has two predictions; keep one")
        if not isinstance(text, str):
            raise InputError(f"{source}: the prediction of {name!r} is {text!r}; it must be text, '' if it is empty")
        given[name] = text
    check_answered(given, known, known, source)
    return [Scored(name, given[name], references_of(sample), sample) for name, sample in known.items()]


def check_answered(given: Collection[str], known: Collection[str], wanted: Collection[str], source: str) -> None:
    """Check that predictions are of known samples, and that none that is wanted lacks.

    Args:
        given: Ids of the predictions.
        known: Ids of all samples.
        wanted: Ids of those that need a prediction.
        source: What the predictions are called in an error message, such as their file.

    Raises:
        InputError: If not; the message names the first one.
    """
    for name in given:
        if name not in known:
            raise InputError(f"{source}: id {name!r} is of no sample of the data set{nearest(name, known)}")
    if missing := [name for name in wanted if name not in given]:
        raise InputError(
            f"{source}: {len(missing)} of {len(wanted)} samples have no prediction, first {missing[0]!r}; "
            "write '' for one that has none"
        )


def references_of(sample: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sample's ``references``, or its one ``answer``.

    Raises:
        InputError: If it has neither, or one is no text.
    """
    references = sample.get("references") or ([sample["answer"]] if sample.get("answer") is not None else [])
    if not isinstance(references, list | tuple) or not references or not all(isinstance(x, str) for x in references):
        raise InputError(
            f"sample {sample.get('id')!r}: references is {sample.get('references')!r}; it must be a list of texts, "
            "at least one"
        )
    return tuple(references)
