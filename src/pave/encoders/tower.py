"""What an encoder may ask of the base: its own vision tower, frozen, for frames of the encoder's choosing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.flop_counter import FlopCounterMode

from pave.errors import InputError

NOMINAL_SIDE = 384
"""Height and width of the frame on which costs are counted, where the size of a frame decides them."""


class Tower(Protocol):
    """The vision tower of a base, up to but not including its projector; made by ``Family.tower``.

    Features of a frame depend on that frame alone, however many are given at once.
    """

    @property
    def width(self) -> int:
        """Feature width Cq."""
        ...

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of a frame's features after the base's own pooling; ``None`` if its size decides them."""
        ...

    @property
    def revision(self) -> str:
        """Hash of weights and preprocessing: towers of one revision give the same features."""
        ...

    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        """Return features (T,rows,columns,Cq) of frames, on the CPU, in the base's dtype, without gradients.

        Args:
            frames: RGB uint8 (T,3,H,W), T at least 1, of any size; they are scaled as the base scales its videos.
            pooled: Whether the base's own pooling is applied; otherwise they are the finest: one a patch, or as the
                tower itself merges them.
        """
        ...


def flops_a_frame(tower: Tower) -> int:
    """Return a tower's floating-point operations for a frame, counted on one of :data:`NOMINAL_SIDE` pixels."""
    frame = torch.zeros(1, 3, NOMINAL_SIDE, NOMINAL_SIDE, dtype=torch.uint8)
    # The counter does not see fused attention on the CPU; the plain kernel is made of products that it counts.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        tower.features(frame)
    return counter.get_total_flops()


def averaged(features: Tensor, grid: tuple[int, ...], path: Path) -> Tensor:
    """Return features (T,rows,columns,D), averaged to a grid of no more rows and columns.

    Args:
        features: Features of frames.
        grid: Rows and columns.
        path: The file that the frames are of, for the error message.

    Raises:
        InputError: If the grid has more rows or columns than there are.
    """
    rows, columns = features.shape[1:3]
    if grid[0] > rows or grid[1] > columns:
        raise InputError(
            f"{path}: its frames have {rows} x {columns} features, fewer than grid {grid[0]} x {grid[1]}; lower it"
        )
    pooled = adaptive_avg_pool2d(features.movedim(3, 1).float(), (grid[0], grid[1]))
    return pooled.movedim(1, 3)
