"""NumPy files: arrays of numbers, with every way that a damaged one fails told in one line."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pave.errors import InputError, first_line

DAMAGED = (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, and the archive and the Python literal that its files consist of, raise on a damaged one."""


def read_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Return the array of an ``.npy`` file, or those of an ``.npz`` by name; Python objects are never unpickled.

    Raises:
        InputError: If the file is damaged, cut off, or holds Python objects.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {name: content[name] for name in content.files}
    except DAMAGED as error:
        raise InputError(
            f"{path}: not a whole {path.suffix} file of numbers ({first_line(error)}); write it again"
        ) from None
