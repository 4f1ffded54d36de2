"""The plan of a batch: every index and position that the layers need, made once a forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.patches.align import (
    Integers,
    Resampling,
    Seconds,
    Windows,
    index_windows,
    stretch,
    time_windows,
    whole_windows,
)
from pave.patches.batch import Video
from pave.patches.positions import Rotations, grid_positions, index_rotation, time_rotation
from pave.patches.ragged import Layout, Rows, lay_out


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
        steps: Number of side steps after it.
        times_sec: Their times, seconds.
    """

    windows: Windows
    resampling: Resampling | None
    steps: int
    times_sec: Seconds


def resamples(config: PatchConfig, video_steps: int, side_steps: int) -> bool:
    """Whether a side channel of so many steps is stretched to the video's: the reference's rule for short ones."""
    return config.alignment == "index" and side_steps < video_steps


def align(config: PatchConfig, query_times_sec: Seconds, side_times_sec: Seconds) -> Aligned:
    """Give each step of a video that has a side channel its window of side steps."""
    steps, side_steps = len(query_times_sec), len(side_times_sec)
    if config.alignment == "time":
        windows = time_windows(query_times_sec, side_times_sec, config.overlap_sec)
        return Aligned(windows, None, side_steps, side_times_sec)
    if config.alignment == "none":
        return Aligned(whole_windows(steps, side_steps), None, side_steps, side_times_sec)
    if not resamples(config, steps, side_steps):
        return Aligned(index_windows(steps, side_steps), None, side_steps, side_times_sec)
    resampling = stretch(side_steps, steps)
    return Aligned(index_windows(steps, steps), resampling, steps, resampling.apply(side_times_sec))


@torch.compiler.disable  # type: ignore[untyped-decorator]
def plan(config: PatchConfig, videos: list[Video], like: Tensor) -> Plan:
    """Return the plan of a batch.

    Args:
        config: Alignment, overlap and positions.
        videos: A checked batch; every video has a side channel.
        like: A tensor with the dtype and device of the patch.
    """
    aligned = [align(config, video.times_sec, video.channel.times_sec.numpy()) for video in videos]
    layout = lay_out(_rows(videos, aligned), config.hidden_dim, like.device)
    blend = _blend(videos, aligned, like.device)
    rotations = None
    if config.positions != "none" and not layout.single:
        rotations = _rotations(config, videos, aligned, layout, like)
    return Plan(layout, blend, rotations)


def _rows(videos: list[Video], aligned: list[Aligned]) -> Rows:
    steps = [len(video.times_sec) for video in videos]
    query_count = np.repeat([video.queries.shape[1] for video in videos], steps)
    side_tokens = [video.channel.tokens for video in videos]
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
        own = np.arange(entry.steps)
        taken = entry.resampling or Resampling(own, own, np.zeros(entry.steps))
        places = np.arange(video.channel.tokens)
        lower.append((first + taken.lower[:, None] * video.channel.tokens + places).ravel())
        upper.append((first + taken.upper[:, None] * video.channel.tokens + places).ravel())
        fraction.append(np.repeat(taken.fraction, video.channel.tokens))
        first += video.channel.steps * video.channel.tokens
    parts = (torch.from_numpy(np.concatenate(part)).to(device) for part in (lower, upper, fraction))
    return Blend(*parts)


def _rotations(
    config: PatchConfig, videos: list[Video], aligned: list[Aligned], layout: Layout, like: Tensor
) -> Rotations:
    head_dim = config.hidden_dim // config.heads
    order = slice(None) if layout.order is None else layout.order.cpu().numpy()
    pairs = list(zip(videos, aligned, strict=True))
    if config.positions == "rotary_3d":
        grids = [_grid_pair(video, entry) for video, entry in pairs]
        queries, sides = (np.concatenate(parts) for parts in zip(*grids, strict=True))
        return Rotations(index_rotation(queries[order], head_dim, like), index_rotation(sides, head_dim, like))
    query_sec = np.concatenate([video.times_sec - video.times_sec[0] for video in videos])
    side_sec = np.concatenate([entry.times_sec - video.times_sec[0] for video, entry in pairs])
    query_step = _step_of_token([(len(video.times_sec), video.queries.shape[1]) for video in videos])
    side_step = _step_of_token([(entry.steps, video.channel.tokens) for video, entry in pairs])
    return Rotations(
        time_rotation(query_sec, query_step[order], head_dim, like), time_rotation(side_sec, side_step, head_dim, like)
    )


def _step_of_token(sizes: list[tuple[int, int]]) -> Integers:
    """Return the step, counted over all videos, of each token of videos of some steps of some tokens each."""
    steps, tokens = zip(*sizes, strict=True)
    return np.repeat(np.arange(sum(steps)), np.repeat(tokens, steps))


def _grid_pair(video: Video, entry: Aligned) -> tuple[Integers, Integers]:
    """Return step, row and column of a video's query tokens and of its side tokens, on one scale."""
    steps = len(video.times_sec)
    side_grid = video.channel.grid
    longest = max(steps, entry.steps)
    finest = (max(video.grid[0], side_grid[0]), max(video.grid[1], side_grid[1]))
    return grid_positions(steps, video.grid, longest, finest), grid_positions(entry.steps, side_grid, longest, finest)
