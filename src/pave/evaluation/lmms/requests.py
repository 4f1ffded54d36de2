"""From a request of lmms-eval to a sample: one question, one video, and the side channels that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pave.errors import InputError
from pave.types import Sample

IN_THE_VIDEO = ("audio", "frames")
"""Channels whose file is the video itself, where a task names none."""


def sample_of(name: str, messages: Sequence[Mapping[str, Any]], side: Mapping[str, Path | None] | None) -> Sample:
    """Return a request as a sample.

    Args:
        name: Of the sample.
        messages: As a task of lmms-eval makes them: turns of parts with ``type``, and ``text`` or ``url``.
        side: Channel to file; ``None`` where the task knows of none: sound and frames are then read from the video.

    Raises:
        InputError: If the request has pictures, several videos, or a part of a video.
    """
    parts = [part for turn in messages for part in _parts(turn)]
    videos = [_path(part.get("url"), name) for part in parts if part["type"] == "video"]
    others = sorted({part["type"] for part in parts} - {"text", "video"})
    if others or len(videos) > 1:
        held = f"{len(videos)} videos" if len(videos) > 1 else f"a part of type {others[0]!r}"
        raise InputError(f"{name}: holds {held}; pave answers questions of text and one video")
    video = videos[0] if videos else None
    if side is None:
        side = {} if video is None else dict.fromkeys(IN_THE_VIDEO, video)
    turns = [{"role": turn["role"], "content": _text(turn)} for turn in messages]
    return Sample(id=name, video=video, messages=turns, side=side, source=name)


def cut(text: str, until: Sequence[str]) -> str:
    """Return an answer up to the first of the texts at which it is to end."""
    for stop in until:
        text = text.partition(stop)[0] if stop else text
    return text.strip()


def _parts(turn: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(turn: Mapping[str, Any]) -> str:
    return "\n".join(part["text"] for part in _parts(turn) if part["type"] == "text").strip()


def _path(url: Any, name: str) -> Path:
    if not isinstance(url, (str, Path)):
        raise InputError(f"{name}: its video is given as {type(url).__name__}; pave reads whole files by their path")
    return Path(url)
