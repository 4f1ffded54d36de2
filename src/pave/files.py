"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pave.errors import InputError

RELEASED_WITHIN_SEC = 5.0
"""How long a lock may stay held before its holder counts as alive; some systems free a killed one's locks late."""

FULL = (errno.ENOSPC, errno.EDQUOT)
REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "it is on a read-only file system; choose another place",
    errno.EACCES: "it may not be written; change its permissions",
    errno.EPERM: "it may not be written; change its permissions",
    errno.EISDIR: "it is a folder; choose another name",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
}


class WriteError(InputError):
    """A file or folder that cannot be written.

    Args:
        path: The file or folder.
        why: What is wrong with it, and what helps.
    """

    def __init__(self, path: Path, why: str) -> None:
        # What it is made of, not the message: another process makes it again from these.
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: cannot be written: {self.why}"


def why_not_written(error: OSError) -> str:
    """Return what a failed write means, and what helps, as far as that is known."""
    return REASONS.get(error.errno or 0) or error.strerror or str(error)


@contextmanager
def telling_write_errors(path: Path, only: Collection[int] = ()) -> Iterator[None]:
    """Inside this, an error of the system is told as what it means for the one who named the place.

    Args:
        path: The file or folder that the message names.
        only: Numbers of the errors that are told; by default all. What else fails need not be this file.

    Raises:
        WriteError: In place of the error.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        raise WriteError(path, why_not_written(error)) from None


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, sorted, with those of folders that links in it lead to.

    Raises:
        OSError: If a folder cannot be read.
    """
    return _files_below(folder, frozenset())


def _files_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    place = folder.resolve()
    if place in above:
        # A link that leads back up.
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from _files_below(entry, above | {place})
        elif entry.is_file():
            yield entry


@contextmanager
def sole_writer(path: Path, told: str) -> Iterator[None]:
    """Inside this, no other process that asks writes to a file or folder; its lock stands beside it.

    Args:
        path: The file or folder; it need not be there, but what it is in must.
        told: What a second one is told.

    Raises:
        InputError: If another process is writing, or nobody can write there.
    """
    lock = FileLock(_lock_of(path))
    with telling_write_errors(path):
        try:
            lock.acquire(timeout=RELEASED_WITHIN_SEC)
        except Timeout:
            raise InputError(told) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def remove_stale_lock(path: Path) -> None:
    """Remove the lock that a killed :func:`sole_writer` of a file or folder left; one that is held stays."""
    lock = _lock_of(path)
    if lock.exists():
        with suppress(Timeout), FileLock(lock, timeout=0):
            lock.unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside a file to write to; that takes the file's place at the end, unless an error came first.

    Where ``path`` is a link, the file that it leads to is replaced.

    Raises:
        WriteError: If the file cannot be written, or the disk is full.
    """
    target = path.resolve()
    with telling_write_errors(path):
        check_replaceable(path)
        if target.is_dir():
            raise WriteError(path, REASONS[errno.EISDIR])
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    fresh = Path(name)
    with _removing(fresh), telling_write_errors(path, only=FULL):
        yield fresh
        with telling_write_errors(path):
            fresh.chmod(0o644)
            os.replace(fresh, target)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that nobody ever sees half of it.

    Raises:
        WriteError: If it cannot be written.
    """
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder beside ``folder`` to fill; it takes its place at the end, unless an error came first.

    Whatever stands at ``folder``, or where it links to, is replaced: check before what may be lost.

    Raises:
        InputError: If nothing can take its place, or the disk is full.
    """
    check_replaceable(folder)
    target = folder.resolve()
    with telling_write_errors(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    with _removing(fresh), telling_write_errors(folder, only=FULL):
        yield fresh
        fresh.chmod(0o755)
        _take_place(fresh, target)


@contextmanager
def _removing(fresh: Path) -> Iterator[None]:
    """Leave nothing half-written after an error."""
    try:
        yield
    except BaseException:
        if fresh.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
        else:
            fresh.unlink(missing_ok=True)
        raise


def _take_place(fresh: Path, folder: Path) -> None:
    """Move a folder to where another may stand, which is back there after an error."""
    if not folder.exists():
        os.replace(fresh, folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    old = aside / folder.name
    try:
        os.replace(folder, old)
        os.replace(fresh, folder)
    except BaseException:
        if not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(aside)
        raise
    shutil.rmtree(aside)


def check_vacant(folder: Path) -> None:
    """Check that a folder may be written: it does not exist yet, or is empty.

    Raises:
        InputError: If it is a file or holds something, or nothing can take its place.
    """
    check_replaceable(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not empty; choose a new or an empty folder")


def check_replaceable(folder: Path) -> None:
    """Check that a folder can take the place of this one, or of the one that it links to.

    Raises:
        InputError: If it lies below a file, or is a mount point, which cannot be renamed.
    """
    target = folder.resolve()
    if os.path.ismount(target):
        raise InputError(f"{folder}: is a mount point, which cannot be replaced; choose a folder in it")
    above = next(parent for parent in target.parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{folder}: lies below {above}, which is a file; choose a place in a folder")
