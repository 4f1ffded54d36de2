"""Features of a frame in rows and columns, and their means over square blocks."""

from __future__ import annotations

import math

from torch import Tensor


def square(features: Tensor) -> Tensor:
    """Return features (frames,side * side,Cq) as (frames,side,side,Cq)."""
    side = math.isqrt(features.shape[1])
    return features.unflatten(1, (side, side))


def block_means(features: Tensor, size: int) -> Tensor:
    """Return means (frames,rows / size,columns / size,Cq) of features (frames,rows,columns,Cq) over square blocks."""
    return features.unflatten(1, (-1, size)).unflatten(3, (-1, size)).mean(dim=(2, 4))
