"""Rotary positions: the reference's rotation by indices in time and space, and a rotation by seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pave.patches.align import Integers, Seconds

BASE = 10000.0
"""Ratio between the fastest and, nearly, the slowest frequency of the index rotation."""

SHORTEST_PERIOD_SEC, LONGEST_PERIOD_SEC = 0.05, 1000.0


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines (tokens, 1, head width / 2) that turn every head of some tokens alike."""

    cosine: Tensor
    sine: Tensor

    def part(self, tokens: slice) -> Rotation:
        """Return the rotation of some of the tokens."""
        return Rotation(self.cosine[tokens], self.sine[tokens])


@dataclass(frozen=True)
class Rotations:
    """Rotary positions of the query tokens, in the layout's order, and of the side tokens."""

    queries: Rotation
    sides: Rotation


def rotate(heads: Tensor, rotation: Rotation) -> Tensor:
    """Turn channel j of each head (tokens, heads, width) with channel j + width / 2, as a point in the plane."""
    first, second = heads.chunk(2, dim=-1)
    cosine, sine = rotation.cosine, rotation.sine
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def time_rotation(relative_sec: Seconds, step_of_token: Integers, head_dim: int, like: Tensor) -> Rotation:
    """Return the rotation by seconds: attention then depends on differences of time only.

    Periods run geometrically from 0.05 s to 1000 s. Angles are computed in float64 before the cast.

    Args:
        relative_sec: Time of each step since the video's first, seconds.
        step_of_token: Step that each token belongs to.
        head_dim: Width of one head, even.
        like: A tensor with the dtype and device wanted.
    """
    periods_sec = np.geomspace(SHORTEST_PERIOD_SEC, LONGEST_PERIOD_SEC, head_dim // 2)
    angles = np.multiply.outer(relative_sec, 2 * math.pi / periods_sec)
    return _gather([(angles, step_of_token)], like)


def index_rotation(positions: Integers, head_dim: int, like: Tensor) -> Rotation:
    """Return the reference's rotation by step, row and column.

    The frequencies ``10000 ** (-2 j / head_dim)`` are shared out among the three axes without starting anew: the first
    quarter turns with the step, the rest half with the row and half with the column (16, 24 and 24 for a head of 128).

    Args:
        positions: Step, row and column of each token (tokens, 3).
        head_dim: Width of one head, even.
        like: A tensor with the dtype and device wanted.
    """
    half = head_dim // 2
    frequencies = BASE ** (-np.arange(half) / half)
    angles = np.multiply.outer(np.arange(positions.max(initial=0) + 1), frequencies)
    in_time = math.ceil(half / 4)
    in_rows = math.ceil((half - in_time) / 2)
    bounds = (0, in_time, in_time + in_rows, half)
    axes = zip(bounds, bounds[1:], positions.T, strict=False)
    return _gather([(angles[:, low:high], position) for low, high, position in axes], like)


def _gather(sections: list[tuple[NDArray[np.float64], Integers]], like: Tensor) -> Rotation:
    def look_up(function: np.ufunc) -> Tensor:
        parts = [
            torch.from_numpy(function(angles)).to(like)[torch.from_numpy(index).to(like.device)]
            for angles, index in sections
        ]
        return torch.cat(parts, dim=1).unsqueeze(1)

    return Rotation(look_up(np.cos), look_up(np.sin))


def grid_positions(steps: int, grid: tuple[int, int], longest: int, finest: tuple[int, int]) -> Integers:
    """Return step, row and column (steps x rows x columns, 3) of a token grid, on the finer scale of two grids.

    Args:
        steps: Steps of this grid.
        grid: Rows and columns of this grid.
        longest: Number of steps of the longer of the two.
        finest: The larger number of rows and of columns of the two.
    """
    step = np.arange(steps) * (longest - 1) // max(steps - 1, 1)
    row, column = (_cell_centres(cells, fine) for cells, fine in zip(grid, finest, strict=True))
    axes = np.meshgrid(step, row, column, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _cell_centres(cells: int, fine: int) -> Integers:
    return fine * (2 * np.arange(cells) + 1) // (2 * cells)
