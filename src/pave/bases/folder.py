"""What is read of a base's folder, or told in one line why it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pave.errors import InputError, first_line


def read_folder(loader: Any, folder: Path, **options: Any) -> Any:
    """Return what a loader such as ``AutoConfig`` makes of the folder of a base.

    Args:
        loader: The class.
        folder: The folder.
        options: Passed on to its ``from_pretrained``.

    Raises:
        InputError: If the folder holds no model of ``transformers``, or a damaged one.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: holds no config.json; give the folder of a transformers model")
    try:
        return loader.from_pretrained(folder, **options)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: cannot be read as a base ({first_line(error)})") from None
