"""The samples that an evaluation asks about: read, chosen, and checked for what scores need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pave.data.jsonl import read_samples
from pave.errors import InputError
from pave.evaluation.config import EvalConfig
from pave.evaluation.responses import references_of
from pave.types import Sample

SCORED_BY: dict[str, tuple[type, ...]] = {"blind": (int, float), "form": (str,), "track": (str,)}
"""Fields of a sample that scores use, if it has them."""


@dataclass(frozen=True)
class Questions:
    """What is asked.

    Args:
        samples: Samples with at least one reference that is not blank.
        unreferenced: How many had none, and are left out.
    """

    samples: Sequence[Sample]
    unreferenced: int


def read_questions(config: EvalConfig, channels: Sequence[str]) -> Questions:
    """Read the samples of a configuration.

    Args:
        config: The configuration.
        channels: Channels that samples may name beside the usual ones.

    Raises:
        InputError: If a data set cannot be used, or nothing of it can be scored.
    """
    samples = [sample for path in config.data for sample in read_samples(path, channels)]
    for name, value in config.only.items():
        samples = [sample for sample in samples if str(sample.extra.get(name)) == value]
        if not samples:
            raise InputError(f"eval: no sample has {name} {value!r}; mend --only")
    return with_references(samples[: config.limit])


def with_references(samples: Sequence[Sample]) -> Questions:
    """Return the samples that can be scored.

    Raises:
        InputError: If there is none, or a field that is scored by is of another type.
    """
    found = [sample for sample in samples if any(text.strip() for text in references_of(sample))]
    if not found:
        raise InputError(f"none of {len(samples)} samples ends with an answer; there is nothing to score")
    for sample in found:
        _check_fields(sample)
    return Questions(found, len(samples) - len(found))


def check_ids(samples: Sequence[Sample], what: str, remedy: str) -> None:
    """Check that ids tell samples apart, across data sets, too.

    Args:
        samples: The samples.
        what: What needs it, and opens the message.
        remedy: What to do otherwise.

    Raises:
        InputError: If one stands for two.
    """
    seen: dict[str, str] = {}
    for sample in samples:
        if sample.id in seen:
            raise InputError(f"{what}: {sample.source} has the id {sample.id!r} of {seen[sample.id]}; {remedy}")
        seen[sample.id] = sample.source


def _check_fields(sample: Sample) -> None:
    missing = sample.extra.get("missing") or []
    if not isinstance(missing, list) or not all(isinstance(name, str) for name in missing):
        raise InputError(
            f"{sample.source or sample.id}: field 'missing' is {missing!r}; it must be a list of the media that lack"
        )
    for name, kinds in SCORED_BY.items():
        value = sample.extra.get(name)
        if value is not None and not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"{sample.source or sample.id}: field {name!r} is {value!r}; it must be of type {wanted}")
