"""A view as LLaVA-3D sees it: the picture and its depth scaled to a square, and a point of the world for each patch.

The reference samples depth by single pixels, takes the top left pixel for a patch, and lets the point of a pixel
without depth be the camera's own place; its features depend on all three.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from pave.encoders.languagebind import PIXEL_DEVIATION, PIXEL_MEAN
from pave.media.cameras import Intrinsics


def square_picture(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return CLIP's pixels float32 (3,side,side) of a picture RGB uint8 (H,W,3): short side scaled, middle kept."""
    width, height = _scaled_size(pixels.shape[1], pixels.shape[0], side)
    scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    square = np.asarray(scaled)[top : top + side, left : left + side].astype(np.float32) / 255
    return ((square - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_DEVIATION)).transpose(2, 0, 1)


def square_depth(depth_m: np.ndarray, side: int) -> np.ndarray:
    """Return depth (side,side) of a depth map float32 (H,W): short side scaled to the nearest pixel, middle kept."""
    width, height = _scaled_size(depth_m.shape[1], depth_m.shape[0], side)
    left, top = round((width - side) / 2), round((height - side) / 2)
    rows, columns = _nearest(depth_m.shape[0], height), _nearest(depth_m.shape[1], width)
    return depth_m[np.ix_(rows[top : top + side], columns[left : left + side])]


def square_camera(camera: Intrinsics, side: int) -> np.ndarray:
    """Return the calibration matrix (3,3) for :func:`square_depth` of a depth map that a camera's intrinsics are for.

    Pixels are counted by their corners here, as the reference has it. Of an upright depth map it forgets that the rows
    are cut; here they are.
    """
    width, height = _scaled_size(camera.width, camera.height, side)
    scale = np.diag([width / camera.width, height / camera.height, 1])
    matrix = scale @ camera.matrix
    matrix[:2, 2] -= (width - side) / 2, (height - side) / 2
    return matrix


def patch_points(depth_m: np.ndarray, matrix: np.ndarray, camera_to_world: np.ndarray, rows: int) -> np.ndarray:
    """Return the world's points float32 (rows,rows,3) behind the top left pixels of a picture's patches.

    Args:
        depth_m: Depth along the optical axis (side,side), metres, 0 where there is none.
        matrix: Calibration matrix (3,3).
        camera_to_world: Pose (4,4), OpenCV axes, metres.
        rows: Rows, and columns, of patches.
    """
    chosen = np.arange(rows) * depth_m.shape[0] // rows
    row, column = np.meshgrid(chosen, chosen, indexing="ij")
    depth = depth_m[row, column].astype(np.float64)
    x = (column - matrix[0, 2]) * depth / matrix[0, 0]
    y = (row - matrix[1, 2]) * depth / matrix[1, 1]
    points = np.stack([x, y, depth, np.ones_like(depth)], axis=-1) @ camera_to_world.T
    return (points[..., :3] / points[..., 3:]).astype(np.float32)


def _nearest(length: int, scaled: int) -> np.ndarray:
    """Return which of ``length`` pixels stand for each of ``scaled`` ones (scaled,)."""
    # Where two are equally near Pillow decides by the type of the pixels; the reference's depth is 16-bit integers.
    numbers = Image.fromarray(np.arange(length, dtype=np.uint16)[None])
    return np.asarray(numbers.resize((scaled, 1), Image.Resampling.NEAREST))[0]


def _scaled_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size of a picture whose short side is scaled, fractions of the long one cut off."""
    return (side, int(side * height / width)) if width < height else (int(side * width / height), side)
