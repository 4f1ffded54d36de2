"""Pictures and depth maps from single files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pave.errors import InputError, first_line
from pave.media.container import check_file

DEPTH_MODES = ("I;16", "I;16B", "I", "F")
"""Pillow's names of the pixels that hold depth: 16 and 32 bits, and floats."""


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as RGB uint8 (H,W,3).

    Raises:
        InputError: If the file is missing, empty, damaged, or no picture.
    """
    check_file(path)
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a whole picture ({_line(error)}); copy it again") from None


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture, without decoding it.

    Raises:
        InputError: If the file is missing, empty, or no picture.
    """
    check_file(path)
    try:
        with Image.open(path) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a whole picture ({_line(error)}); copy it again") from None


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
    try:
        units = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a whole .npy file of numbers ({_line(error)}); write it again") from None
    if units.ndim != 2 or units.size == 0 or units.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {units.dtype} of shape {units.shape}; depth is numbers (H,W)")
    return units


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            if picture.mode not in DEPTH_MODES:
                raise InputError(
                    f"{path}: holds pixels of type {picture.mode}, a picture of depth; give the depth itself, as "
                    "16-bit PNG or .npy"
                )
            return np.asarray(picture)
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a whole depth file ({_line(error)}); copy it again") from None


def _line(error: Exception) -> str:
    # Pillow names the file in its own words; ours stands in front already.
    return "no format that is known" if isinstance(error, UnidentifiedImageError) else first_line(error)
