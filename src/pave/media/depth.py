"""Pictures and depth maps from single files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pave.errors import InputError, first_line
from pave.media.arrays import read_arrays
from pave.media.container import check_file

DEPTH_MODES = ("I;16", "I;16B", "I", "F")
"""Pillow's names of the pixels that hold depth: 16 and 32 bits, and floats."""


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as RGB uint8 (H,W,3).

    Raises:
        InputError: If the file is missing, empty, damaged, or no picture.
    """
    with _opened(path, "picture") as picture:
        return np.array(picture.convert("RGB"))


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture, without decoding it.

    Raises:
        InputError: If the file is missing, empty, or no picture.
    """
    with _opened(path, "picture") as picture:
        return picture.size


def read_depth(path: Path, unit_m: float) -> np.ndarray:
    """Return a depth map in metres, float32 (H,W); 0 where there is none (0, negative, NaN or infinite in the file).

    Args:
        path: 16-bit PNG or TIFF, float TIFF, or ``.npy``.
        unit_m: Metres of one unit of the file.

    Raises:
        InputError: If the file is missing, empty, damaged, or holds something else, such as a depth map made for eyes.
    """
    check_file(path)
    units = _array(path) if path.suffix.lower() == ".npy" else _image(path)
    metres = units.astype(np.float32) * np.float32(unit_m)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))


def _array(path: Path) -> np.ndarray:
    units = read_arrays(path)
    if isinstance(units, dict):
        raise InputError(f"{path}: an archive of arrays; depth is one array (H,W), write it with np.save")
    if units.ndim != 2 or units.size == 0 or units.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {units.dtype} of shape {units.shape}; depth is numbers (H,W)")
    return units


def _image(path: Path) -> np.ndarray:
    with _opened(path, "depth file") as picture:
        if picture.mode not in DEPTH_MODES:
            raise InputError(
                f"{path}: holds pixels of type {picture.mode}, a picture of depth; give the depth itself, as "
                "16-bit PNG or .npy"
            )
        return np.asarray(picture)


@contextmanager
def _opened(path: Path, noun: str) -> Iterator[Image.Image]:
    """Open a picture, and tell what goes wrong while it is decoded inside."""
    check_file(path)
    try:
        with Image.open(path) as picture:
            yield picture
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(
            f"{path}: states more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; scale the {noun} down, or copy it "
            "again if it has fewer"
        ) from None
    except (UnidentifiedImageError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        # Pillow names the file in its own words; ours stands in front already.
        why = "no format that is known" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise InputError(f"{path}: not a whole {noun} ({why}); copy it again") from None
