"""What comes into a patch: a ragged batch of videos, checked, and packed into pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TypeVar

import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches.align import Seconds
from pave.types import SideChannel, check_times

Item = TypeVar("Item")


@dataclass(frozen=True)
class Video:
    """One checked entry of a batch.

    Args:
        queries: Query tokens (T,S,Cq).
        side: The side channel, or ``None`` if it or the video has nothing in it.
        times_sec: Time of each video step (T,), seconds.
        grid: Rows and columns of the S tokens; only asked for by ``rotary_3d``.
    """

    queries: Tensor
    side: SideChannel | None
    times_sec: Seconds
    grid: tuple[int, int]

    @property
    def channel(self) -> SideChannel:
        """The side channel of a video that has one."""
        assert self.side is not None
        return self.side

    @property
    def tokens(self) -> int:
        """Number of query tokens, T times S."""
        return self.queries.shape[0] * self.queries.shape[1]

    @property
    def timing(self) -> Hashable:
        """All that the plan of a video with a side channel depends on: sizes, grids and times."""
        side = self.channel
        sides = (side.steps, side.tokens, side.grid, side.times_sec.numpy().tobytes())
        return (*self.queries.shape[:2], self.grid, self.times_sec.tobytes(), *sides)

    @property
    def extent(self) -> int:
        """Number of query tokens or of side tokens, whichever is larger: what memory goes by."""
        return self.tokens if self.side is None else max(self.tokens, self.side.steps * self.side.tokens)


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
    present = side is not None and side.steps and queries.shape[0] and queries.shape[1]
    return Video(queries, side if present else None, times.numpy(), grid or (0, 0))


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


def pack(items: Iterable[Item], size: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Yield the items in runs whose sizes sum to ``most`` at most, or of one item where that is larger."""
    run: list[Item] = []
    total = 0
    for item in items:
        if run and total + size(item) > most:
            yield run
            run, total = [], 0
        run.append(item)
        total += size(item)
    if run:
        yield run
