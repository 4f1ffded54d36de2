"""Files and folders are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.errors import InputError
from pave.files import check_vacant, whole_folder, write_whole


def test_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text() == "before"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_appears_whole_and_replaces_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for text in ("first", "second"):
        with whole_folder(folder) as fresh:
            (fresh / "file.txt").write_text(text)
            assert not folder.exists() or (folder / "file.txt").read_text() == "first"
    with pytest.raises(ValueError, match="half way"), whole_folder(folder) as fresh:
        (fresh / "file.txt").write_text("third")
        raise ValueError("half way")
    assert (folder / "file.txt").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_vacant_folder(tmp_path: Path) -> None:
    check_vacant(tmp_path / "none")
    check_vacant(tmp_path)
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists and is not empty"):
            check_vacant(taken)
