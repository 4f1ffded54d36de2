"""Where the patches of a picture lie in the world: median depth, back-projected, as Fourier features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pave.media.cameras import Intrinsics, to_world
from pave.media.rgbd import RgbdFrame


def patch_positions(frame: RgbdFrame, grid: tuple[int, int]) -> np.ndarray:
    """Return the world's point (N,3) in metres at the centre of each patch, NaN for a patch without valid depth.

    A patch's depth is the median over its valid pixels, of an even number the nearer of the two in the middle: a depth
    that was measured, not one between a thing and what is behind it.

    Args:
        frame: Whose depth map may be of another size and field of view than its picture.
        grid: Rows and columns of the patches that the whole picture is cut into.
    """
    assert frame.depth_m is not None
    depth, depth_camera = _at_least(frame.depth_m, frame.depth_camera, grid)
    depths = _medians(depth, _patch_of_pixels(depth_camera, frame.camera, grid), grid[0] * grid[1])
    return to_world(_centre_rays(frame.camera, grid) * depths[:, None], frame.camera_to_world)


def fourier_features(
    positions: Tensor, centre_m: Sequence[float], extent_m: float, frequencies: Sequence[float]
) -> Tensor:
    """Return float32 features (…,4+6F) of positions (…,3) in metres; all 0 where a position is NaN.

    They are a 1 for "there is depth"; p, the position from ``centre_m`` in units of ``extent_m``; and sin(pi f p) and
    cos(pi f p) for each frequency f.

    Args:
        positions: In the world's frame.
        centre_m: Middle of the scene.
        extent_m: From its middle to its border, along an axis.
        frequencies: F of them; frequency f repeats every ``2 extent_m / f`` metres.
    """
    valid = torch.isfinite(positions).all(dim=-1, keepdim=True)
    scaled = (positions.double() - torch.tensor(centre_m, dtype=torch.float64)) / extent_m
    phases = math.pi * scaled.unsqueeze(-2) * torch.tensor(frequencies, dtype=torch.float64).unsqueeze(-1)
    waves = torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(-2)
    features = torch.cat([torch.ones_like(scaled[..., :1]), scaled, waves], dim=-1)
    return torch.where(valid, features, 0.0).float()


def fourier_width(frequencies: Sequence[float]) -> int:
    """Return the width of :func:`fourier_features`."""
    return 4 + 6 * len(frequencies)


def _at_least(depth_m: np.ndarray, camera: Intrinsics, grid: tuple[int, int]) -> tuple[np.ndarray, Intrinsics]:
    """Repeat the pixels of a depth map that is coarser than the patches, so that each patch has some."""
    times = math.ceil(max(grid[0] / depth_m.shape[0], grid[1] / depth_m.shape[1]))
    if times <= 1:
        return depth_m, camera
    finer = depth_m.repeat(times, axis=0).repeat(times, axis=1)
    return finer, camera.scaled(finer.shape[1], finer.shape[0])


def _patch_of_pixels(depth_camera: Intrinsics, camera: Intrinsics, grid: tuple[int, int]) -> np.ndarray:
    """Return the patch (h,w) that each pixel of a depth map falls in, -1 outside of the picture."""
    columns, rows = np.arange(depth_camera.width), np.arange(depth_camera.height)
    # The camera looks the same way with both, so that columns and rows do not depend on each other, nor on depth.
    across = camera.fx * (columns - depth_camera.cx) / depth_camera.fx + camera.cx
    down = camera.fy * (rows - depth_camera.cy) / depth_camera.fy + camera.cy
    column = np.floor((across + 0.5) / camera.width * grid[1]).astype(int)
    row = np.floor((down + 0.5) / camera.height * grid[0]).astype(int)
    inside = ((row >= 0) & (row < grid[0]))[:, None] & ((column >= 0) & (column < grid[1]))[None]
    return np.where(inside, row[:, None] * grid[1] + column[None], -1)


def _medians(depth: np.ndarray, patch: np.ndarray, patches: int) -> np.ndarray:
    """Return the lower median of the valid depth in each patch (N,), NaN where there is none."""
    valid = (depth > 0) & (patch >= 0)
    depths, owners = depth[valid], patch[valid]
    order = np.lexsort((depths, owners))
    counts = np.bincount(owners, minlength=patches)
    middles = np.cumsum(counts) - counts + (counts - 1) // 2
    medians = np.full(patches, np.nan)
    medians[counts > 0] = depths[order][middles[counts > 0]]
    return medians


def _centre_rays(camera: Intrinsics, grid: tuple[int, int]) -> np.ndarray:
    """Return the points at depth 1 (N,3) that the centres of the patches look at."""
    columns = (np.arange(grid[1]) + 0.5) * camera.width / grid[1] - 0.5
    rows = (np.arange(grid[0]) + 0.5) * camera.height / grid[0] - 0.5
    return camera.rays(*np.meshgrid(columns, rows)).reshape(-1, 3)
