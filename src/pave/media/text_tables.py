"""Small text files of numbers, as data sets keep poses, intrinsics and time stamps in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.container import check_file


def read_matrix(path: Path) -> np.ndarray:
    """Return the matrix (4,4) in a text file of 16 numbers; ``inf`` and ``nan`` are numbers here.

    Raises:
        InputError: If the file is missing, empty, or holds something else.
    """
    values = [word for row in read_rows(path) for word in row]
    matrix = numbers(values, path)
    if matrix.size != 16:
        raise InputError(f"{path}: holds {matrix.size} numbers; a matrix of 4 x 4 has 16")
    return matrix.reshape(4, 4)


def read_rows(path: Path) -> list[list[str]]:
    """Return the words of every line; empty lines and those that begin with ``#`` are left out.

    Raises:
        InputError: If the file is missing, empty, or no text.
    """
    check_file(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; copy it again") from None
    rows = [line.replace(",", " ").split() for line in lines]
    return [row for row in rows if row and not row[0].startswith("#")]


def numbers(words: list[str], path: Path) -> np.ndarray:
    """Return words as numbers (n,).

    Raises:
        InputError: If one is none.
    """
    try:
        return np.array([float(word) for word in words], np.float64)
    except ValueError:
        line = " ".join(words)
        raise InputError(f"{path}: {line[:60]!r} does not hold numbers only; copy the file again") from None


def nearest_in_time(stamps: np.ndarray, wanted: np.ndarray, max_gap_sec: float) -> np.ndarray:
    """Return for each wanted time (F,) the index of the nearest of sorted stamps (n,), -1 if none is near enough."""
    if not len(stamps):
        return np.full(len(wanted), -1)
    after = np.searchsorted(stamps, wanted).clip(0, len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    closest = np.where(np.abs(stamps[before] - wanted) <= np.abs(stamps[after] - wanted), before, after)
    # Stamps are written to the millisecond or so; their rounding is no gap.
    return np.where(np.abs(stamps[closest] - wanted) <= max_gap_sec + 1e-6, closest, -1)
