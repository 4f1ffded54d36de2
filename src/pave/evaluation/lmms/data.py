"""Data sets of this library as documents of lmms-eval: where media lie, what is asked, how answers are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.conventions.convention import Scored

FOLDER = Path("pave-data")
"""Where lmms-eval's working directory holds prepared benchmarks, each in a folder of its own name."""


def is_prepared(document: Mapping[str, Any]) -> bool:
    """Whether a document is a sample of this library."""
    return "benchmark" in document and "messages" in document


def side_of(document: Mapping[str, Any]) -> dict[str, Path | None] | None:
    """Return the side channels that a document names; ``None`` if it is of a foreign task, which knows of none."""
    if not is_prepared(document):
        return None
    return {
        name: None if path is None else FOLDER / document["benchmark"] / path
        for name, path in (document.get("side") or {}).items()
    }


def to_visual(document: Mapping[str, Any]) -> list[str]:
    """Return the video of a sample.

    Raises:
        InputError: If it lacks; lmms-eval has no place for samples that cannot be asked.
    """
    if document.get("missing"):
        raise InputError(
            f"{document['id']}: {document['missing'][0]} lacks; "
            "for lmms-eval prepare the data with --leave-out-missing"
        )
    return [str(FOLDER / document["benchmark"] / document["video"])]


def to_text(document: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> str:
    """Return what is asked; the turns before the last question stand above it."""
    turns = list(document["messages"])
    if turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    return "\n".join(turn["content"] for turn in turns)


def to_messages(document: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the conversation up to the last question, the video before the first one."""
    turns = list(document["messages"])
    if turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    messages = [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    first = next(message for message in messages if message["role"] == "user")
    first["content"] = [{"type": "video", "url": path} for path in to_visual(document)] + first["content"]
    return messages


def to_target(document: Mapping[str, Any]) -> str:
    """Return the first reference."""
    return str(document["references"][0])


def process(document: Mapping[str, Any], results: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return an answer once for each convention of its benchmark; they are scored together at the end."""
    answer = {"document": dict(document), "prediction": results[0]}
    return {name: {**answer, "convention": name} for name in conventions.names(document["benchmark"])}


def aggregate(answers: Sequence[Mapping[str, Any]]) -> float:
    """Return the headline metric of the convention that answers were given for."""
    samples = [
        Scored(
            answer["document"]["id"],
            answer["prediction"],
            tuple(answer["document"]["references"]),
            answer["document"],
        )
        for answer in answers
    ]
    convention = conventions.get(answers[0]["document"]["benchmark"], answers[0]["convention"])
    return next(iter(convention.score(samples).values())).value
