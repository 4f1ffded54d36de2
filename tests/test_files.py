"""Files and folders are written whole or not at all."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from pave.errors import InputError
from pave.files import WriteError, check_vacant, files_below, sole_writer, whole_folder, write_whole


def test_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text() == "before"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_file_that_is_a_link_is_written_where_it_leads(tmp_path: Path) -> None:
    target, link = tmp_path / "disk" / "real.txt", tmp_path / "file.txt"
    target.parent.mkdir()
    target.write_text("before")
    link.symlink_to(target)
    write_whole(link, "after")
    assert link.is_symlink() and target.read_text() == "after"
    assert [entry.name for entry in target.parent.iterdir()] == ["real.txt"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder", "folder: cannot be written: it is a folder; choose another name"),
        ("x" * 260, "xxx: cannot be written: its name is too long; choose a shorter one"),
        ("file/new", "new: lies below .*file, which is a file; choose a place in a folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=why):
        write_whole(tmp_path / name, "text")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"set: cannot be written: the disk is full; free some space"):
        with whole_folder(tmp_path / "set"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_files_below_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    for name in ("set/a/one.txt", "set/c.txt", "elsewhere/two.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    found = [path.relative_to(tmp_path / "set").as_posix() for path in files_below(tmp_path / "set")]
    assert found == ["a/one.txt", "b/two.txt", "c.txt"]


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


def test_a_folder_that_is_a_link_is_written_where_it_leads(tmp_path: Path) -> None:
    target, link = tmp_path / "disk" / "set", tmp_path / "set"
    target.mkdir(parents=True)
    link.symlink_to(target)
    check_vacant(link)
    with whole_folder(link) as fresh:
        assert fresh.parent == target.parent
        (fresh / "file.txt").write_text("whole")
    assert link.is_symlink() and (target / "file.txt").read_text() == "whole"
    assert [entry.name for entry in target.parent.iterdir()] == ["set"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["disk", "set"]


def test_what_stood_there_is_back_if_the_new_folder_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "file.txt").write_text("first")
    move = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target) == folder and not (Path(source) / "file.txt").read_text() == "first":
            raise OSError("disk is gone")
        move(source, target)

    with pytest.raises(OSError, match="disk is gone"), whole_folder(folder) as fresh:
        (fresh / "file.txt").write_text("second")
        monkeypatch.setattr(os, "replace", fail)
    assert (folder / "file.txt").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_file_is_replaced_by_a_folder_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file")
    with whole_folder(tmp_path / "set") as fresh:
        (fresh / "file.txt").touch()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["set", "file.txt"]


@pytest.mark.parametrize("name", ["file/out", "file/further/out"])
def test_a_place_below_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"out: lies below .*/file, which is a file; choose a place in a folder"
    with pytest.raises(InputError, match=message):
        check_vacant(tmp_path / name)
    with pytest.raises(InputError, match=message), whole_folder(tmp_path / name):
        pytest.fail("nothing is to be made for it")


def test_a_mount_point_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == disk)
    for place in (disk, link):
        with pytest.raises(InputError, match="is a mount point, which cannot be replaced; choose a folder in it"):
            check_vacant(place)
        with pytest.raises(InputError, match="is a mount point"), whole_folder(place):
            pytest.fail("nothing is to be made for it")
    check_vacant(disk / "out")
    with pytest.raises(InputError, match="is a mount point"):
        monkeypatch.undo()
        check_vacant(Path("/"))


def test_vacant_folder(tmp_path: Path) -> None:
    check_vacant(tmp_path / "none")
    check_vacant(tmp_path)
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists and is not empty"):
            check_vacant(taken)


def test_a_lock_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(WriteError, match=r"out: cannot be written: "),
        sole_writer(tmp_path / "file" / "out", "busy"),
    ):
        pass


def test_a_write_error_is_told_alike_by_another_process(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(WriteError(tmp_path / "out", "the disk is full")))
    assert isinstance(error, WriteError) and error.why == "the disk is full"
    assert str(error) == f"{tmp_path}/out: cannot be written: the disk is full"
