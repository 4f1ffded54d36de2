"""Whether a file is all there, told from the sizes that mp4, mov, wav and avi files state of their own parts.

Decoders make do with what a cut file still holds, down to reporting no sound track where its description was cut off;
so this is looked at first. Other containers state no such sizes and are judged by their duration when probed.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from pave.errors import InputError

CONTENT_BOXES = frozenset({b"mdat", b"moof", b"moov"})
LEADING_BOXES = CONTENT_BOXES | {b"ftyp", b"free", b"skip", b"wide"}

TRUNCATION_SEC = 0.5
"""A stream that ends this much earlier than its container's header states counts as cut off; less is rounding."""

RIFF_SLACK_BYTES = 1024
"""Writers of RIFF files are known to miscount by a header; a cut file lacks more."""

RIFF_UNKNOWN_BYTES = 0x7FFF0000
"""From here on the size of a RIFF file is a placeholder of a writer that could not go back to fill it in."""


def check_complete(path: Path) -> None:
    """Check that no part of the file ends after the file does; reads a few headers only.

    Raises:
        InputError: If the file is cut off, naming how many bytes are missing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            stated = int.from_bytes(head[4:8], "little")
            slack = RIFF_SLACK_BYTES
            missing = stated + 8 - size if stated < RIFF_UNKNOWN_BYTES else 0
        elif head[4:8] in LEADING_BOXES:
            slack = 0
            missing = _missing_of_boxes(file, size)
        else:
            return
    if missing > slack:
        raise InputError(f"{path}: cut off; at least {missing} of {size + missing} bytes are missing, copy it again")


def _missing_of_boxes(file: BinaryIO, size: int) -> int:
    """Return by how many bytes the last box of an mp4 or mov file passes the file's end."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            # Zero means "to the end of the file"; anything else is padding, which players skip too.
            return 0
        if kind in CONTENT_BOXES and position + length > size:
            return position + length - size
        position += length
    return 0
