"""A question as a benchmark's reader makes it: the conversation, its answers, and where its media may lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a medium may lie, relative to the media folder.

    Args:
        path: A file or folder.
        holds: What a folder must hold to be the one that is meant.
    """

    path: str
    holds: str = ""


def places(*paths: str) -> tuple[Place, ...]:
    """Return files or folders as places, the first choice first."""
    return tuple(Place(path) for path in paths)


@dataclass(frozen=True)
class Film:
    """How a video is made that is not published as a file.

    Args:
        sources: A longer video to cut, or a folder of pictures named by numbers.
        start_sec: Where it begins in that.
        end_sec: Where it ends; ``None`` for the end.
        pictures_per_sec: Of a folder of pictures: number n is shown from ``(n - first_number) / pictures_per_sec``.
        first_number: Number of the picture at second 0.
    """

    sources: tuple[Place, ...]
    start_sec: float = 0.0
    end_sec: float | None = None
    pictures_per_sec: float = 30.0
    first_number: int = 0


@dataclass(frozen=True)
class Media:
    """The media of a sample.

    Args:
        name: By which its feature files go, and its film if one is made.
        video: Places of the video.
        side: Places of each side channel, none where there is no such medium; a channel that is not named is in the
            video itself.
        cameras: Places of each other camera's video, which together are the channel ``views``.
        film: How the video is made where no place has it.
    """

    name: str
    video: tuple[Place, ...]
    side: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    cameras: tuple[tuple[Place, ...], ...] = ()
    film: Film | None = None


@dataclass(frozen=True)
class Row:
    """A sample before its media were looked for.

    Args:
        id: Unique in the split; made so where the raw files repeat it.
        question: As the benchmark states it, without prompt and choices.
        messages: The conversation, which ends with the answer where that is known.
        media: Its media.
        references: All right answers; none where they are hidden.
        category: By which scores are usually told apart.
        choices: Answers to choose from, without their letters.
        fields: What scorers may need beside these.
        notes: What is peculiar about it, to count.
    """

    id: str
    question: str
    messages: list[dict[str, str]]
    media: Media
    references: tuple[str, ...] = ()
    category: str | None = None
    choices: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def turn(question: str, answer: str | None, system: str | None = None) -> list[dict[str, str]]:
    """Return a conversation of one question, its answer where it is known, and what the system says before."""
    said = [] if system is None else [{"role": "system", "content": system}]
    asked = [{"role": "user", "content": question}]
    return said + asked + ([] if answer is None else [{"role": "assistant", "content": answer}])
