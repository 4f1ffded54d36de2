"""One rule for every base: where the tokens of each video lie in what the frozen video path returns, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pave.errors import InputError
from pave.types import VideoTokens

VideoShape = tuple[int, tuple[int, int]]
"""Steps T of a video, and rows and columns of the S tokens of a step."""

LEAD, DEEPSTACK = "lead", "deepstack."
"""Names under which :attr:`VideoTokens.kept` holds what precedes each step, and each deepstack layer."""


@dataclass(frozen=True)
class Cut:
    """One video, cut out of the rows of all.

    Args:
        tokens: Video tokens (T,S,C).
        lead: Tokens (T,L,C) that stand before those of each step, such as a class token; L may be 0.
        tail: Tokens (Z,C) that end the video; Z may be 0.
    """

    tokens: Tensor
    lead: Tensor
    tail: Tensor


def rows_of(pooled: Tensor | Sequence[Tensor]) -> Tensor:
    """Return everything in a base's container as rows (N,C), in order."""
    parts = [pooled] if isinstance(pooled, Tensor) else list(pooled)
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def cut(rows: Tensor, shapes: Sequence[VideoShape], lead: int = 0, tail: int = 0) -> list[Cut]:
    """Cut rows (N,C) into videos of ``T * (lead + S) + tail`` rows each.

    Raises:
        InputError: If the videos do not take exactly all rows.
    """
    sizes = [steps * (lead + height * width) + tail for steps, (height, width) in shapes]
    if sum(sizes) != len(rows):
        raise InputError(
            f"the base made {len(rows)} tokens of videos that should have {sizes}; the inputs do not belong together, "
            "or this base lays its tokens out otherwise than its family says"
        )
    videos = []
    for video, (steps, _) in zip(rows.split(sizes), shapes, strict=True):
        body = video[: len(video) - tail].unflatten(0, (steps, -1))
        videos.append(Cut(body[:, lead:], body[:, :lead], video[len(video) - tail :]))
    return videos


def with_lead(video: VideoTokens) -> Tensor:
    """Return the tokens of each step with those that stand before them (T,L+S,C)."""
    lead = video.kept.get(LEAD)
    return video.tokens if lead is None else torch.cat([lead, video.tokens], dim=1)


def one_after_another(name: str, parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Return an input of several videos as that of one batch.

    Raises:
        InputError: If the videos differ in any other axis.
    """
    shapes = {tuple(part.movedim(axis, 0).shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise InputError(
            f"{name} of one batch have the shapes {sorted(tuple(part.shape) for part in parts)}; this base takes "
            "videos of one size a batch, so sample as many frames of one size from each, set a batch size of 1, or "
            "encode the videos before (cache_video_tokens: true)"
        )
    return torch.cat(list(parts), dim=axis)


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Return parts (n,C) as one tensor: one entry a part if they are of one length, else one entry a token.

    ``generate`` repeats whole entries, row by row, for beams and several return sequences: no entry may reach over
    two rows of a batch.
    """
    if len({len(part) for part in parts}) == 1:
        return torch.stack(list(parts))
    return torch.cat(list(parts)).unsqueeze(1)


def deepstack_of(output: Any, rows: Sequence[int]) -> list[dict[str, Tensor]]:
    """Return, for each video, the features (n,C) that go into the first layers of the language model as they are.

    Args:
        output: What the frozen video path returned.
        rows: Number of rows of each video.
    """
    layers = getattr(output, "deepstack_features", None) or []
    parts = [rows_of(layer).split(list(rows)) for layer in layers]
    return [{f"{DEEPSTACK}{layer}": videos[index] for layer, videos in enumerate(parts)} for index in range(len(rows))]


def deepstack_to(videos: Sequence[VideoTokens]) -> list[list[Tensor]] | None:
    """Return the deepstack features of videos as a base takes them, by layer and video; ``None`` without any.

    Tokens that a patch appends have none of their own, so theirs are 0.
    """
    layers = sum(name.startswith(DEEPSTACK) for name in videos[0].kept) if videos else 0
    return [[_lengthened(video, f"{DEEPSTACK}{layer}") for video in videos] for layer in range(layers)] or None


def _lengthened(video: VideoTokens, name: str) -> Tensor:
    features = video.kept[name]
    if video.appended is None:
        return features
    return torch.cat([features, features.new_zeros(len(video.appended), features.shape[1])])


def fill(room: Sequence[int], sizes: Iterable[int]) -> list[int] | None:
    """Assign items of ``sizes`` in order to rows with ``room``; ``None`` if they do not fill them exactly."""
    rows, row, left = [], 0, list(room)
    for size in sizes:
        while row < len(left) and left[row] == 0:
            row += 1
        if row == len(left) or left[row] < size:
            return None
        left[row] -= size
        rows.append(row)
    return rows if not any(left) else None
