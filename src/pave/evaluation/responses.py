"""Responses and their file: a JSON line a sample, in the order of the samples, on disk as soon as it is said."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO

from pave.errors import InputError
from pave.evaluation.metrics import exact_match
from pave.files import sole_writer
from pave.types import Sample

KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "question", "answer", "prediction", "cluster"), (str,)),
    "correct": (bool,),
    "extra": (dict,),
    "video": (str, NoneType),
    "side": (dict,),
    "absent": (list,),
}
"""Types of the fields of a response in its file."""


@dataclass(frozen=True)
class Response:
    """One answered question.

    Args:
        id: Of the sample.
        question: As asked.
        answer: The reference, or the first of them.
        prediction: The model's answer; empty where a medium lacks and nothing was asked.
        correct: Whether it is one of the references, once normalised.
        cluster: What the sample shares with others: its video, or its own id.
        extra: Every other field of the sample; ``references``, ``missing``, ``category``, ``blind``, ``form`` and
            ``track`` among them are scored by.
        video: The video.
        side: Channel to file.
        absent: Channels that were read, but that the sample lacks.
    """

    id: str
    question: str
    answer: str
    prediction: str
    correct: bool
    cluster: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    video: str | None = None
    side: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """Gold answers."""
        return tuple(self.extra.get("references") or (self.answer,))

    @property
    def is_missing(self) -> bool:
        """Whether a medium lacks, so that nothing was asked."""
        return bool(self.extra.get("missing"))


def references_of(sample: Sample) -> tuple[str, ...]:
    """Return the gold answers of a sample; none if it has no reference.

    Raises:
        InputError: If its field ``references`` is no list of texts.
    """
    references = sample.extra.get("references")
    if references is None:
        return () if sample.answer is None else (sample.answer,)
    if not isinstance(references, (list, tuple)) or not all(isinstance(text, str) for text in references):
        raise InputError(
            f"{sample.source or sample.id}: field 'references' is {references!r}; it must be a list of texts"
        )
    return tuple(references)


def response_to(sample: Sample, prediction: str, absent: Sequence[str] = ()) -> Response:
    """Return what is kept of a sample and its answer; paths become absolute."""
    references = references_of(sample)
    video = None if sample.video is None else os.path.abspath(sample.video)
    return Response(
        id=sample.id,
        question=sample.question,
        answer=references[0],
        prediction=prediction,
        correct=any(exact_match(prediction, text) for text in references),
        cluster=_cluster(sample),
        extra=sample.extra,
        video=video,
        side={channel: os.path.abspath(path) for channel, path in sample.side.items() if path is not None},
        absent=tuple(absent),
    )


def _cluster(sample: Sample) -> str:
    """Return a sample's video; where the file lacks, what the line calls it still groups its questions."""
    if sample.video is not None:
        return os.path.abspath(sample.video)
    missing = sample.extra.get("missing") or []
    return missing[0] if missing else sample.id


def keys_of(responses: Sequence[Response]) -> list[tuple[str, str, str, int]]:
    """Return what tells each response from the others, so that those of two models can be paired.

    Ids are unique in a data set only: of several, those of equal id, video and question are counted.
    """
    used: Counter[tuple[str, str, str]] = Counter()
    keys = []
    for response in responses:
        shared = response.id, response.cluster, response.question
        used[shared] += 1
        keys.append((*shared, used[shared]))
    return keys


class ResponseFile:
    """A file of responses that only grows, by one process at a time.

    Args:
        path: The file; it is made if it is not there.

    Raises:
        InputError: If another process is writing to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    @contextmanager
    def writing(self) -> Iterator[list[Response]]:
        """Give the responses that are there; :meth:`append` adds to them inside.

        After an error the file goes if it holds none.
        """
        busy = f"{self.path}: another process is writing to it; wait for it, or choose another --out"
        with sole_writer(self.path, busy):
            try:
                with self.path.open("a+b") as self._file:
                    yield self._recovered()
                    os.fsync(self._file.fileno())
            except BaseException:
                if not self.path.stat().st_size:
                    self.path.unlink()
                raise
            finally:
                self._file = None

    def append(self, response: Response) -> None:
        """Write a response; it outlives this process at once."""
        assert self._file is not None
        self._file.write(as_line(response))
        self._file.flush()

    def _recovered(self) -> list[Response]:
        """Read the whole lines, and cut off one that a killed process left half-written."""
        assert self._file is not None
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        return parse_responses(whole, self.path)


def as_line(response: Response) -> bytes:
    """Return a response as a line of JSON."""
    return (json.dumps(asdict(response), ensure_ascii=False) + "\n").encode()


def read_responses(path: Path) -> list[Response]:
    """Read a file of responses.

    Raises:
        InputError: If it is missing or empty, or a line is no response.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a result folder, or the responses.jsonl in one")
    responses = parse_responses(path.read_bytes(), path)
    if not responses:
        raise InputError(f"{path}: holds no responses")
    return responses


def parse_responses(content: bytes, path: Path) -> list[Response]:
    """Return the responses of a file's content.

    Raises:
        InputError: If a line is no response; the message starts with file and line number.
    """
    return [_parse(line, f"{path}:{number}") for number, line in enumerate(content.splitlines(), start=1)]


def _parse(line: bytes, source: str) -> Response:
    try:
        record = json.loads(line)
    except ValueError:
        raise InputError(f"{source}: not valid JSON; the file is damaged") from None
    wanted = {entry.name for entry in fields(Response)} - {"video", "side", "absent", "extra"}
    if not isinstance(record, dict) or not wanted <= set(record) <= set(KINDS) or not _are_of_kind(record):
        raise InputError(f"{source}: no response as pave eval writes it; give a responses.jsonl")
    return Response(**record)


def _are_of_kind(record: Mapping[str, Any]) -> bool:
    return all(isinstance(value, KINDS[name]) for name, value in record.items())
