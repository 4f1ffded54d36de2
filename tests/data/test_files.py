"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.data.files import check_vacant, write_whole
from pave.errors import InputError


def test_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text() == "before"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_vacant_folder(tmp_path: Path) -> None:
    check_vacant(tmp_path / "none")
    check_vacant(tmp_path)
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists and is not empty"):
            check_vacant(taken)
