"""Brings responses to disk as they are given: resumes what was killed, does one process's part, joins the parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pave.errors import InputError
from pave.evaluation.asking import Asker, replies
from pave.evaluation.folder import ResultFolder, Shard
from pave.evaluation.responses import Response, ResponseFile, parse_responses, response_to
from pave.files import remove_stale_lock, whole_file
from pave.processes import processes
from pave.types import Sample


def collect(
    asker: Asker, samples: Sequence[Sample], facts: Mapping[str, Any], folder: ResultFolder, shard: Shard
) -> list[Response] | None:
    """Ask for the responses of one part that are not on disk yet, and return all once every part is there.

    Args:
        asker: Whom to ask.
        samples: All samples.
        facts: What decides the answers.
        folder: Where responses are kept.
        shard: The part.

    Returns:
        The responses to all samples; ``None`` while parts lack.

    Raises:
        InputError: If the folder is another evaluation's, or a medium cannot be used; a folder in which nothing was
            answered yet is left as it was.
    """
    with _claimed(folder, facts):
        found = _finished(folder, samples)
        if found is None:
            _answer_part(asker, _part(samples, asker.settings.batch_size, shard), folder.responses_file(shard))
        else:
            # Whoever gave the last answer may have been killed before the lock was gone; nobody takes it again.
            remove_stale_lock(folder.responses_file())
    processes().wait_for_everyone()
    return found or _joined(folder, samples, asker.settings.batch_size, shard[1])


def _part(samples: Sequence[Sample], batch_size: int, shard: Shard) -> Sequence[Sample]:
    """Return whole batches, those of neighbours together, so that a video is seldom encoded by two processes."""
    number, count = shard
    batches = -(-len(samples) // batch_size)
    first, last = (batches * part // count for part in (number - 1, number))
    return samples[first * batch_size : last * batch_size]


def _answer_part(asker: Asker, samples: Sequence[Sample], path: Any) -> None:
    file = ResponseFile(path)
    with file.writing() as done:
        _check_ids(done, samples, path)
        rest = samples[len(done) :]
        if rest:
            for sample, reply in zip(rest, replies(asker, samples, len(done)), strict=True):
                file.append(response_to(sample, reply.text, reply.absent))


def _check_ids(responses: Sequence[Response], samples: Sequence[Sample], path: Any) -> None:
    """Check that responses are to the first of some samples."""
    if len(responses) > len(samples):
        raise InputError(f"{path}: holds {len(responses)} responses to {len(samples)} samples; choose another --out")
    for number, (response, sample) in enumerate(zip(responses, samples, strict=False), start=1):
        if response.id != sample.id:
            raise InputError(
                f"{path}:{number}: responds to {response.id!r} where sample {sample.id!r} stands; choose another --out"
            )


def _finished(folder: ResultFolder, samples: Sequence[Sample]) -> list[Response] | None:
    """Return the responses to all samples, if they are together already."""
    path = folder.responses_file()
    responses = _whole_lines(path)
    if len(responses) < len(samples):
        return None
    _check_ids(responses, samples, path)
    return responses


def _joined(folder: ResultFolder, samples: Sequence[Sample], batch_size: int, count: int) -> list[Response] | None:
    """Put the parts together, once all of them are there; whoever comes last, or several at once, write the same."""
    paths = [folder.responses_file((number, count)) for number in range(1, count + 1)]
    expected = [len(_part(samples, batch_size, (number, count))) for number in range(1, count + 1)]
    if count > 1 and [len(_whole_lines(path)) for path in paths] == expected:
        try:
            joined = b"".join(path.read_bytes() for path in paths)
        except FileNotFoundError:
            # Another process was quicker, and has put them together.
            return _finished(folder, samples)
        with whole_file(folder.responses_file()) as fresh:
            fresh.write_bytes(joined)
        for path in paths:
            path.unlink(missing_ok=True)
    return _finished(folder, samples)


def _whole_lines(path: Any) -> list[Response]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return parse_responses(content[: content.rfind(b"\n") + 1], path)


@contextmanager
def _claimed(folder: ResultFolder, facts: Mapping[str, Any]) -> Iterator[None]:
    """Claim a folder; if the input turns out to be wrong before anything was answered, it is left as it was."""
    existed = folder.path.exists()
    is_first = folder.claim(facts)
    try:
        yield
    except InputError:
        if is_first:
            folder.unclaim()
            if not existed:
                # Others may have begun there meanwhile.
                with suppress(OSError):
                    folder.path.rmdir()
        raise
