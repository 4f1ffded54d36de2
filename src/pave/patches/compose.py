"""Several patches on one batch: who acts on which sample, and the sum of their residuals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.errors import InputError, nearest
from pave.patches.patch import Patch
from pave.types import SideChannel, VideoTokens

Side: TypeAlias = Mapping[str, Sequence[SideChannel | None]]
"""Channel name to one side channel a video, ``None`` where it is absent."""

Choice: TypeAlias = Sequence[str] | Sequence[Sequence[str]] | None
"""Names of patches: for all samples, for each sample, or ``None`` for all patches everywhere."""


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Check that patches exist.

    Raises:
        InputError: If one does not; the message lists those that do and the nearest one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InputError(f"no patch {name!r} on this model; it has: {listed}{nearest(name, known)}")


def check_channels(side: Side, channels: Iterable[str]) -> None:
    """Check that every given side channel is read by some patch.

    Raises:
        InputError: If one is not; the message lists those that are and the nearest one.
    """
    channels = sorted(set(channels))
    for channel in side:
        if channel not in channels:
            listed = ", ".join(channels) or "none"
            raise InputError(f"no patch reads channel {channel!r}; those read: {listed}{nearest(channel, channels)}")


def entries(side: Side, channel: str, videos: int) -> list[SideChannel | None]:
    """Return a channel's side channels, one a video; all absent if the channel is not given.

    Raises:
        InputError: If there is not one entry a video.
    """
    given = list(side.get(channel, [None] * videos))
    if len(given) != videos:
        raise InputError(f"side[{channel!r}] has {len(given)} entries, the batch {videos} videos; give one a video")
    return given


def choose(choice: Choice, known: Sequence[str], rows: int) -> list[list[str]]:
    """Return the names of the patches chosen for each of ``rows`` samples.

    Raises:
        InputError: On an unknown name, or another number of entries than samples.
    """
    if choice is None:
        return [list(known) for _ in range(rows)]
    if isinstance(choice, str):
        raise InputError(f"patches is the text {choice!r}; give a list of names")
    chosen: list[list[str]] = []
    for entry in choice:
        chosen.append([entry] if isinstance(entry, str) else list(entry))
    if all(isinstance(entry, str) for entry in choice):
        chosen = [[name for names in chosen for name in names] for _ in range(rows)]
    elif len(chosen) != rows:
        raise InputError(f"patches has {len(chosen)} entries for {rows} samples; give one a sample")
    check_names((name for row in chosen for name in row), known)
    return chosen


def apply_patches(
    patches: Mapping[str, Patch], side: Side, chosen: Sequence[Sequence[str]], videos: Sequence[VideoTokens]
) -> tuple[list[VideoTokens], list[set[str]]]:
    """Return the videos with the residuals of all patches added, and for each sample the patches whose channel it has.

    Args:
        patches: The patches, by name.
        side: For each channel one side channel a video, ``None`` where it is absent.
        chosen: For each sample the names of the patches to use.
        videos: The videos of a batch, placed in its samples.

    Raises:
        InputError: If there is not one entry a video, or times are needed and missing.
    """
    placed = list(videos)
    present: list[set[str]] = [set() for _ in chosen]
    for name, patch in patches.items():
        given = entries(side, patch.config.channel, len(placed))
        given = [entry if name in chosen[video.row] else None for video, entry in zip(placed, given, strict=True)]
        for video, entry in zip(placed, given, strict=True):
            if entry is not None and entry.steps:
                present[video.row].add(name)
        placed = add_residuals(patch, placed, given)
    return placed, present


def add_residuals(
    patch: Patch, videos: Sequence[VideoTokens], given: Sequence[SideChannel | None]
) -> list[VideoTokens]:
    """Return the videos with one patch's residuals added to their tokens (PAVE, section 3).

    Args:
        patch: The patch.
        videos: The videos of a batch.
        given: For each video its side channel, or ``None``.

    Raises:
        InputError: If times are needed and missing.
    """
    config = patch.config
    if not any(given) and not (patch.training and torch.is_grad_enabled()):
        return list(videos)
    residuals = patch(
        [video.queries(config.query) for video in videos],
        [entry.to(video.tokens.device) if entry else None for video, entry in zip(videos, given, strict=True)],
        [_times(video, config) for video in videos],
        [video.grid for video in videos],
    )
    return [
        replace(video, tokens=video.tokens + residual.to(video.tokens.dtype))
        for video, residual in zip(videos, residuals, strict=True)
    ]


def _times(video: VideoTokens, config: PatchConfig) -> Tensor:
    if not video.times_sec.isnan().any():
        return video.times_sec
    if config.alignment == "time" or config.positions == "rotary_time":
        raise InputError(
            f"video_times_sec is missing; the patch of channel {config.channel!r} aligns by time, "
            "so give the seconds of the sampled frames"
        )
    return torch.arange(video.tokens.shape[0], dtype=torch.float64)
