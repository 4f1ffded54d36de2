"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pave.errors import InputError

RELEASED_WITHIN_SEC = 5.0
"""How long a lock may stay held before its holder counts as alive; some systems free a killed one's locks late."""


@contextmanager
def sole_writer(path: Path, told: str) -> Iterator[None]:
    """Inside this, no other process that asks writes to a file or folder; its lock stands beside it.

    Args:
        path: The file or folder; it need not be there, but what it is in must.
        told: What a second one is told.

    Raises:
        InputError: If another process is writing.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=RELEASED_WITHIN_SEC)
    except Timeout:
        raise InputError(told) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; the file takes its place at the end, unless an error came first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        yield fresh
        fresh.chmod(0o644)
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that nobody ever sees half of it."""
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder beside ``folder`` to fill; it takes its place at the end, unless an error came first.

    Whatever stands at ``folder``, or where it links to, is replaced: check before what may be lost.

    Raises:
        InputError: If nothing can take its place.
    """
    check_replaceable(folder)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        _take_place(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
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
