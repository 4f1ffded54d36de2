"""Several patches on one batch: who acts on which sample, the sum of their residuals, and the tokens they append."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.errors import InputError, nearest
from pave.patches.append import AppendPatch
from pave.patches.patch import Patch, ResidualPatch
from pave.types import SideChannel, VideoTokens

Side: TypeAlias = Mapping[str, Sequence[SideChannel | None]]
"""Channel name to one side channel a video, ``None`` where it is absent."""

Chosen: TypeAlias = Sequence[str] | Mapping[str, float]
"""Names of patches, or names with the weight by which residual and LoRA are scaled."""

Choice: TypeAlias = Chosen | Sequence[Chosen] | None
"""Patches for all samples, for each sample, or ``None`` for those that act by default."""


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


def check_side(side: Side, channels: Iterable[str]) -> None:
    """Check that every given side channel is read by some patch, and is a list of side channels.

    Raises:
        InputError: If one is not; the message lists those that are read and the nearest one.
    """
    if not isinstance(side, Mapping):
        raise InputError(f"side must hold a list for each channel, by its name, and is a {type(side).__name__}")
    channels = sorted(set(channels))
    for channel in side:
        if channel not in channels:
            listed = ", ".join(channels) or "none"
            raise InputError(
                f"no patch reads channel {channel!r}; those read: {listed}{nearest(str(channel), channels)}"
            )
        _check_entries(channel, side[channel])


def _check_entries(channel: str, given: object) -> None:
    if not isinstance(given, Sequence) or isinstance(given, str):
        kind = type(given).__name__
        raise InputError(f"side[{channel!r}] is a {kind}; give a list with one SideChannel, or None, a video")
    for place, entry in enumerate(given):
        if entry is not None and not isinstance(entry, SideChannel):
            kind = type(entry).__name__
            raise InputError(f"side[{channel!r}][{place}] is a {kind}; give a SideChannel, or None where it is absent")


def entries(side: Side, channel: str, videos: int) -> list[SideChannel | None]:
    """Return a channel's side channels, one a video; all absent if the channel is not given.

    Raises:
        InputError: If there is not one entry a video.
    """
    given = list(side.get(channel, [None] * videos))
    if len(given) != videos:
        raise InputError(f"side[{channel!r}] has {len(given)} entries, the batch {videos} videos; give one a video")
    return given


def weigh(chosen: Chosen, known: Iterable[str]) -> dict[str, float]:
    """Return chosen patches with their weights, in the order of their names; a weight of 0 is as if not chosen.

    Raises:
        InputError: On anything but a list of names or their weights, an unknown name, or a weight that is no finite
            number.
    """
    if isinstance(chosen, str):
        raise InputError(f"patches is the text {chosen!r}; give a list of names")
    if not isinstance(chosen, Mapping | Sequence | Set):
        kind = type(chosen).__name__
        raise InputError(f"patches must be a list of names, or names with their weights, not {kind}")
    for name in chosen:
        if not isinstance(name, str):
            raise InputError(f"patches must hold names, not {type(name).__name__}")
    weights = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen, 1.0)
    check_names(weights, known)
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise InputError(f"patches[{name!r}] is {weight!r}; give a finite weight, such as 0.5")
    return {name: float(weights[name]) for name in sorted(weights) if weights[name] != 0}


def balance(patches: Mapping[str, Patch]) -> dict[str, float]:
    """Return the factors at which the residuals of patches that act together are each heard as if alone.

    How large a residual becomes differs from one training to the next, and where two are summed, the larger drowns the
    smaller: all are brought to their geometric mean. And a language model normalises what it reads, so that n
    residuals of one size weaken each other by about the root of n, which the factors undo.

    Args:
        patches: The patches that act together, by name; those without a residual, and fresh ones, whose residual is 0,
            do not count.

    Raises:
        InputError: If the weights of one do not tell the size of its residual.
    """
    sizes = {name: _size(name, patch) for name, patch in patches.items() if isinstance(patch, ResidualPatch)}
    sizes = {name: size for name, size in sizes.items() if size}
    if len(sizes) < 2:
        return {}
    middle = math.exp(math.fsum(math.log(size) for _, size in sorted(sizes.items())) / len(sizes))
    return {name: math.sqrt(len(sizes)) * middle / size for name, size in sizes.items()}


def _size(name: str, patch: ResidualPatch) -> float:
    size = patch.residual_size
    if size is None:
        raise InputError(f"patch {name!r}: its weights do not tell how large its residual is; choose weights yourself")
    return size


def choose(choice: Choice, default: Mapping[str, float], known: Iterable[str], rows: int) -> list[dict[str, float]]:
    """Return the patches chosen for each of ``rows`` samples, with their weights, in the order of their names.

    Raises:
        InputError: As :func:`weigh`, or on another number of entries than samples.
    """
    known = list(known)
    if choice is None:
        return [dict(default)] * rows
    if not isinstance(choice, Sequence) or isinstance(choice, str) or all(isinstance(entry, str) for entry in choice):
        return [weigh(cast("Chosen", choice), known)] * rows
    for place, entry in enumerate(choice):
        if not isinstance(entry, str | Mapping | Sequence | Set):
            kind = type(entry).__name__
            raise InputError(f"patches[{place}] must be a list of names, or names with their weights, not {kind}")
    if len(choice) != rows:
        raise InputError(f"patches has {len(choice)} entries for {rows} samples; give one a sample")
    return [weigh([entry] if isinstance(entry, str) else entry, known) for entry in choice]


@dataclass(frozen=True)
class Composed:
    """Videos with what all their patches add.

    Args:
        videos: The videos.
        present: For each sample the patches whose channel it has.
        idle: What :func:`run_idle` returned for each patch that was run though no sample needs it, if there is no
            video whose tokens could carry its gradient.
    """

    videos: list[VideoTokens]
    present: list[set[str]]
    idle: list[Tensor]


def apply_patches(
    patches: Mapping[str, Patch],
    side: Side,
    chosen: Sequence[Mapping[str, float]],
    videos: Sequence[VideoTokens],
    always: Container[str] = (),
    balanced: bool = False,
) -> Composed:
    """Add the residuals and tokens of all patches; each asks with the base's own tokens, so that no order matters.

    Args:
        patches: The patches, by name.
        side: For each channel one side channel a video, ``None`` where it is absent.
        chosen: For each sample the patches to use, with their weights.
        videos: The videos of a batch, placed in its samples.
        always: Names of the patches to run even if no sample needs them, because other processes do.
        balanced: Whether the residuals of patches that act on a video together are balanced (:func:`balance`).

    Raises:
        InputError: If there is not one entry a video, times are needed and missing, or patches cannot be balanced.
    """
    sums: list[Tensor | None] = [None] * len(videos)
    appended: list[list[Tensor]] = [[] for _ in videos]
    present: list[set[str]] = [set() for _ in chosen]
    idle = []
    # One order in all processes: what one gathers the weights for, the others must, too.
    given = {name: entries(side, patch.config.channel, len(videos)) for name, patch in sorted(patches.items())}
    acting = [
        tuple(
            name for name, its in given.items() if name in chosen[video.row] and (entry := its[place]) and entry.steps
        )
        for place, video in enumerate(videos)
    ]
    factors = {names: balance({name: patches[name] for name in names}) if balanced else {} for names in set(acting)}
    for name, its in given.items():
        patch = patches[name]
        places = [place for place, names in enumerate(acting) if name in names]
        if not places:
            if name in always:
                idle.append(run_idle(patch))
            continue
        found = _additions(patch, [videos[place] for place in places], [its[place] for place in places])
        for place, addition in zip(places, found, strict=True):
            row = videos[place].row
            present[row].add(name)
            weight = chosen[row][name] * factors[acting[place]].get(name, 1.0)
            scaled = addition if weight == 1 else addition * weight
            before = sums[place]
            if isinstance(patch, AppendPatch):
                appended[place].append(scaled)
            else:
                sums[place] = scaled if before is None else before + scaled
    composed = [_composed(*parts) for parts in zip(videos, sums, appended, strict=True)]
    if idle and composed:
        # So the tokens need a gradient in every process, whichever patches its batch needs.
        zero = torch.stack(idle).sum().to(composed[0].tokens)
        composed[0] = replace(composed[0], tokens=composed[0].tokens + zero)
        idle = []
    return Composed(composed, present, idle)


def _composed(video: VideoTokens, total: Tensor | None, appended: Sequence[Tensor]) -> VideoTokens:
    if total is not None:
        video = replace(video, tokens=video.tokens + total)
    return replace(video, appended=torch.cat(list(appended))) if appended else video


def _additions(patch: Patch, videos: Sequence[VideoTokens], given: Sequence[SideChannel | None]) -> list[Tensor]:
    """Return what one patch makes for each video, beside its tokens: residuals (T,S,C), or tokens to append (A,C)."""
    if isinstance(patch, ResidualPatch):
        return residuals(patch, videos, given)
    home = _home(patch, videos[0].tokens.device)
    made = patch([entry.to(home) if entry else None for entry in given])
    return [tokens.to(video.tokens) for video, tokens in zip(videos, made, strict=True)]


def residuals(
    patch: ResidualPatch, videos: Sequence[VideoTokens], given: Sequence[SideChannel | None]
) -> list[Tensor]:
    """Return one patch's residual (T,S,C) for each video, beside its tokens (PAVE, section 3).

    Args:
        patch: The patch.
        videos: The videos of a batch.
        given: For each video its side channel, or ``None``.

    Raises:
        InputError: If times are needed and missing.
    """
    config = patch.config
    queries = [video.queries(config.query) for video in videos]
    home = _home(patch, queries[0].device)
    found = patch(
        [query.to(home) for query in queries],
        [entry.to(home) if entry else None for entry in given],
        [_times(video, config) for video in videos],
        [video.grid for video in videos],
    )
    return [residual.to(video.tokens) for video, residual in zip(videos, found, strict=True)]


def run_idle(patch: Patch) -> Tensor:
    """Run a patch that no sample of a batch needs, and return exactly 0 with a gradient for each of its weights.

    Data-parallel training waits for every gradient, and sharded weights are gathered by all processes or by none.
    """
    if isinstance(patch, ResidualPatch):
        query = torch.zeros(1, 1, patch.config.query_dim, device=_home(patch, None))
        (made,) = patch([query], [None], [torch.zeros(1, dtype=torch.float64)], [(1, 1)])
    else:
        (made,) = patch([None])
    nothing: Tensor = made.float().sum()
    return nothing


def _home(patch: Patch, default: torch.device | None) -> torch.device | None:
    """Return where a patch lies: not always where the base's tokens are, as a base may lie on several devices."""
    return next((weight.device for weight in patch.parameters()), default)


def _times(video: VideoTokens, config: PatchConfig) -> Tensor:
    if not video.times_sec.isnan().any():
        return video.times_sec
    if config.reads_times:
        raise InputError(
            f"video_times_sec is missing; the patch of channel {config.channel!r} goes by seconds, "
            "so give the seconds of the sampled frames"
        )
    return torch.arange(video.tokens.shape[0], dtype=torch.float64)
