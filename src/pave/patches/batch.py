"""What comes into a patch: a checked, ragged batch, and the plan of indices and positions made from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches.align import Integers, Resampling, Seconds, Windows, index_windows, stretch, time_windows
from pave.patches.attention import Rotations
from pave.patches.positions import grid_positions, index_rotation, time_rotation
from pave.patches.ragged import Layout, Rows, lay_out
from pave.types import SideChannel, check_times


@dataclass(frozen=True)
class Video:
    """One checked entry of a batch.

    Args:
        queries: Query tokens (T,S,Cq).
        side: The side channel, or ``None`` if it is absent or has no steps.
        times_sec: Time of each video step (T,), seconds.
        grid: Rows and columns of the S tokens; only asked for by ``rotary_3d``.
    """

    queries: Tensor
    side: SideChannel | None
    times_sec: Seconds
    grid: tuple[int, int]

    @property
    def tokens(self) -> int:
        """Number of query tokens, T times S."""
        return self.queries.shape[0] * self.queries.shape[1]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def check_batch(
    config: PatchConfig,
    queries: Sequence[Tensor],
    sides: Sequence[SideChannel | None],
    query_times_sec: Sequence[Tensor | Sequence[float]],
    query_grids: Sequence[tuple[int, int]] | None,
) -> list[Video]:
    """Check what a patch was called with.

    Raises:
        InputError: On lists of different lengths, a wrong shape or width, times or a grid that do not fit.
    """
    where = f"patch {config.channel!r}"
    lengths = {"queries": len(queries), "sides": len(sides), "query_times_sec": len(query_times_sec)}
    if query_grids is not None:
        lengths["query_grids"] = len(query_grids)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{where}: the lists differ in length ({found}); give one entry a video")
    grids = query_grids if query_grids is not None else [None] * len(queries)
    entries = zip(queries, sides, query_times_sec, grids, strict=True)
    return [_check_video(config, f"{where}, video {number}", *entry) for number, entry in enumerate(entries)]


def _check_video(
    config: PatchConfig,
    where: str,
    queries: Tensor,
    side: SideChannel | None,
    times_sec: Tensor | Sequence[float],
    grid: tuple[int, int] | None,
) -> Video:
    if queries.ndim != 3 or not queries.is_floating_point():
        found = f"{tuple(queries.shape)} of {queries.dtype}"
        raise InputError(f"{where}: queries have shape {found}; give a float tensor (T,S,{config.query_dim})")
    if queries.shape[2] != config.query_dim:
        raise InputError(
            f"{where}: queries have width {queries.shape[2]}, the patch was built for query_dim {config.query_dim}"
        )
    if side is not None and side.width != config.side_dim:
        raise InputError(
            f"{where}: the side channel has width {side.width}, the patch was built for side_dim {config.side_dim}"
        )
    times = torch.as_tensor(times_sec, dtype=torch.float64, device="cpu")
    check_times(times, queries.shape[0], f"{where}, query_times_sec")
    if config.positions == "rotary_3d":
        grid = _check_grid(where, queries.shape[1], grid)
    return Video(queries, side if side is not None and side.steps else None, times.numpy(), grid or (0, 0))


def _check_grid(where: str, tokens: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    if grid is None:
        width = isqrt(tokens)
        if width * width != tokens:
            raise InputError(
                f"{where}: {tokens} tokens a step are no square; give query_grids for positions 'rotary_3d'"
            )
        return (width, width)
    if grid[0] * grid[1] != tokens:
        raise InputError(f"{where}: query grid {grid[0]} x {grid[1]} does not hold {tokens} tokens a step")
    return grid


def pack(videos: list[Video], tokens_at_once: int) -> Iterator[list[Video]]:
    """Yield the videos in runs of at most ``tokens_at_once`` query tokens, or of one video where that has more."""
    run: list[Video] = []
    total = 0
    for video in videos:
        if run and total + video.tokens > tokens_at_once:
            yield run
            run, total = [], 0
        run.append(video)
        total += video.tokens
    if run:
        yield run


@dataclass(frozen=True)
class Blend:
    """Interpolation of all side tokens of a batch: token j mixes ``lower[j]`` and ``upper[j]`` by ``fraction[j]``."""

    lower: Tensor
    upper: Tensor
    fraction: Tensor

    def apply(self, tokens: Tensor) -> Tensor:
        """Return the interpolated side tokens (new side tokens, memory)."""
        fraction = self.fraction.to(tokens.dtype).unsqueeze(1)
        return tokens.index_select(0, self.lower) * (1 - fraction) + tokens.index_select(0, self.upper) * fraction


@dataclass(frozen=True)
class Plan:
    """Everything about a batch that is not a weight or a feature: indices and positions, made once a forward pass.

    Args:
        layout: Which query tokens attend to which side tokens.
        blend: Interpolation of the side tokens in time; ``None`` if no side channel is shorter than its video.
        rotations: Rotary positions, if the patch has any.
    """

    layout: Layout
    blend: Blend | None
    rotations: Rotations | None


@dataclass(frozen=True)
class Aligned:
    """How the side channel of one video meets its steps.

    Args:
        windows: Side steps that each video step sees.
        resampling: Interpolation that makes the side steps, if they are not the channel's own.
        steps: Number of side steps after it; 0 for an absent channel.
        times_sec: Their times, seconds.
    """

    windows: Windows
    resampling: Resampling | None
    steps: int
    times_sec: Seconds


def align(config: PatchConfig, video: Video) -> Aligned:
    """Give each step of a video its window of side steps."""
    steps = len(video.times_sec)
    if video.side is None:
        nothing = np.zeros(steps, dtype=np.int64)
        return Aligned(Windows(nothing, nothing), None, 0, np.zeros(0))
    times_sec = video.side.times_sec.numpy()
    side_steps = video.side.steps
    if config.alignment == "time":
        return Aligned(time_windows(video.times_sec, times_sec, config.overlap_sec), None, side_steps, times_sec)
    if side_steps >= steps:
        return Aligned(index_windows(steps, side_steps) if steps else _NO_WINDOWS, None, side_steps, times_sec)
    resampling = stretch(side_steps, steps)
    return Aligned(index_windows(steps, steps), resampling, steps, resampling.apply(times_sec))


_NO_WINDOWS = Windows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@torch.compiler.disable  # type: ignore[untyped-decorator]
def plan(config: PatchConfig, videos: list[Video], like: Tensor) -> Plan:
    """Return the plan of a batch.

    Args:
        config: Alignment, overlap and positions.
        videos: The checked batch.
        like: A tensor with the dtype and device of the patch.
    """
    aligned = [align(config, video) for video in videos]
    layout = lay_out(_rows(videos, aligned), config.hidden_dim, like.device)
    blend = _blend(videos, aligned, like.device)
    rotations = None
    if config.positions != "none" and not layout.single:
        rotations = _rotations(config, videos, aligned, layout, like)
    return Plan(layout, blend, rotations)


def _rows(videos: list[Video], aligned: list[Aligned]) -> Rows:
    steps = [len(video.times_sec) for video in videos]
    query_count = np.repeat([video.queries.shape[1] for video in videos], steps)
    side_tokens = [video.side.tokens if video.side else 0 for video in videos]
    side_total = np.array(side_tokens) * [entry.steps for entry in aligned]
    first = np.repeat(np.cumsum(side_total) - side_total, steps)
    a_step = np.repeat(side_tokens, steps)
    starts = np.concatenate([entry.windows.starts for entry in aligned])
    counts = np.concatenate([entry.windows.counts for entry in aligned])
    return Rows(np.cumsum(query_count) - query_count, query_count, first + starts * a_step, counts * a_step)


def _blend(videos: list[Video], aligned: list[Aligned], device: torch.device) -> Blend | None:
    if all(entry.resampling is None for entry in aligned):
        return None
    lower, upper, fraction = [], [], []
    first = 0
    for video, entry in zip(videos, aligned, strict=True):
        if video.side is None:
            continue
        own = np.arange(entry.steps)
        taken = entry.resampling or Resampling(own, own, np.zeros(entry.steps))
        places = np.arange(video.side.tokens)
        lower.append((first + taken.lower[:, None] * video.side.tokens + places).ravel())
        upper.append((first + taken.upper[:, None] * video.side.tokens + places).ravel())
        fraction.append(np.repeat(taken.fraction, video.side.tokens))
        first += video.side.steps * video.side.tokens
    parts = (torch.from_numpy(np.concatenate(part)).to(device) for part in (lower, upper, fraction))
    return Blend(*parts)


def _rotations(
    config: PatchConfig, videos: list[Video], aligned: list[Aligned], layout: Layout, like: Tensor
) -> Rotations:
    head_dim = config.hidden_dim // config.heads
    order = slice(None) if layout.order is None else layout.order.cpu().numpy()
    if config.positions == "rotary_3d":
        pairs = [_grid_pair(video, entry) for video, entry in zip(videos, aligned, strict=True)]
        queries, sides = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        return Rotations(index_rotation(queries[order], head_dim, like), index_rotation(sides, head_dim, like))
    query_sec = np.concatenate([video.times_sec - video.times_sec[:1] for video in videos])
    side_sec = np.concatenate(
        [entry.times_sec - video.times_sec[:1].sum() for video, entry in zip(videos, aligned, strict=True)]
    )
    query_step = np.repeat(
        np.arange(len(query_sec)), np.repeat([v.queries.shape[1] for v in videos], [len(v.times_sec) for v in videos])
    )
    side_step = np.repeat(
        np.arange(len(side_sec)),
        np.repeat([v.side.tokens if v.side else 0 for v in videos], [e.steps for e in aligned]),
    )
    return Rotations(
        time_rotation(query_sec, query_step[order], head_dim, like), time_rotation(side_sec, side_step, head_dim, like)
    )


def _grid_pair(video: Video, entry: Aligned) -> tuple[Integers, Integers]:
    """Return step, row and column of a video's query tokens and of its side tokens, on one scale."""
    steps = len(video.times_sec)
    side_grid = video.side.grid if video.side else (1, 1)
    longest = max(steps, entry.steps)
    finest = (max(video.grid[0], side_grid[0]), max(video.grid[1], side_grid[1]))
    return grid_positions(steps, video.grid, longest, finest), grid_positions(entry.steps, side_grid, longest, finest)
