"""The feature store: what encoders and towers made, kept on disk by content, filled by many processes at once.

A new item is a file of its own under ``loose/``, named by its key, whole or not there: a crash loses nothing but what
was being written. :meth:`FeatureStore.compact` packs loose items into shards, in the order of their keys, so that the
same items give the same files whoever made them. Each item is checked against its checksum whenever it is read.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pave.config import read_json
from pave.data.store_item import DTYPES, Dtype, Item, Packed, pack
from pave.data.store_shards import SHARD, Shards, write_durably
from pave.errors import InputError, nearest
from pave.files import WriteError, why_not_written

logger = logging.getLogger(__name__)

STORE_FILE = "store.json"
STORE_VERSION = 1
LOOSE, SHARDS, WRITERS = "loose", "shards", "writers"
LOCK = ".lock"
"""Held by the one who packs."""
ROLL = ".roll.lock"
"""Held while somebody joins those who write, or counts on there being none."""
SHARD_BYTES = 256 * 10**6
GIGABYTE = 10**9
ROOM_SHARE = 16
"""A writer looks how full the store is each time it has used this part of the room that it last found."""


class StoreError(InputError):
    """The store itself cannot be used, whatever the item."""


class FeatureStore:
    """Items by key on disk; see the module's description.

    Args:
        folder: An existing store, or a new or empty folder, which becomes one.
        dtype: Float type of features; by default that of the store, and ``bf16`` for a new one.
        max_gb: Size above which nothing is added, in units of 10^9 bytes; ``None`` for no limit.

    Raises:
        StoreError: If the folder holds something else, a store of another format version or float type, or a new
            store cannot be written.
    """

    def __init__(self, folder: Path, dtype: Dtype | None = None, max_gb: float | None = None) -> None:
        self.folder = Path(folder)
        if dtype is not None and dtype not in DTYPES:
            raise StoreError(f"store: dtype is {dtype!r}; choose from {', '.join(DTYPES)}{nearest(dtype, DTYPES)}")
        self.max_gb = max_gb
        self.dtype = self._open_or_make(dtype)
        self._shards = Shards(self.folder / SHARDS)
        self._shards.refresh()
        self._mark: FileLock | None = None
        self._room = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mark": None}

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say that this process writes no more."""
        if self._mark is not None:
            Path(self._mark.lock_file).unlink(missing_ok=True)
            self._mark.release()
            self._mark = None

    def keys(self) -> set[str]:
        """Keys of all items."""
        self._shards.refresh()
        return self._shards.keys() | {path.stem for path in self._loose_files()}

    @property
    def size_bytes(self) -> int:
        """Bytes that items take on the disk."""
        files = [*self._loose_files(), *self._shards.folder.glob("[!.]*")]
        return sum(_size_of(path) for path in files)

    def get(self, key: str) -> Item | None:
        """Return an item; ``None`` if it is not there, or no copy of it is sound (said in a warning)."""
        packed = self._read_loose(key) or self._shards.read(key)
        if packed is None:
            self._shards.refresh()
            packed = self._shards.read(key)
        return None if packed is None else packed.unpack()

    def put(self, item: Item) -> Item:
        """Write an item under its key and return it as :meth:`get` will; it is safe on disk then.

        Raises:
            InputError: If a feature is NaN or infinite, or becomes so in the store's float type.
            StoreError: If the store cannot be written, or would outgrow its limit.
        """
        key = item.key
        packed = pack(item, self.dtype)
        content = save(packed.tensors, metadata={"pave": json.dumps(packed.entry, sort_keys=True)})
        with self._writing():
            self._announce()
            self._check_room(len(content))
            write_durably(self._loose_path(key), content)
        return packed.unpack()

    def check_writable(self) -> None:
        """Check that items can be written, before any is made.

        Raises:
            StoreError: If they cannot.
        """
        with self._writing():
            self._announce()

    def compact(self) -> None:
        """Pack loose items into shards; other processes may read and write meanwhile.

        Raises:
            StoreError: If the store cannot be written.
        """
        with self._packing():
            with self._roll():
                if not self._living_writers():
                    self._sweep()
            self._repack(set(), None)

    def verify(self) -> list[str]:
        """Check every item, drop those whose checksum fails, and return their keys.

        Raises:
            StoreError: If the store cannot be written.
        """
        with self._packing():
            keys = self.keys() | self._shards.lost
            self._repack(self._shards.unsound(), None)
            return sorted(keys - self.keys())

    def prune(self, keep: Collection[str]) -> int:
        """Drop every item whose key is not in ``keep``, and what crashes left; return how many items went.

        Raises:
            StoreError: If the store cannot be written, or another process is writing to it.
        """
        with self._packing(), self._roll():
            for writer in self._living_writers():
                raise StoreError(f"{self.folder}: process {writer} is writing to this store; prune when it is done")
            self._sweep()
            before = self.keys()
            keep = set(keep)
            self._repack(self._shards.holding(before - keep), keep)
            return len(before - self.keys())

    def _open_or_make(self, dtype: Dtype | None) -> Dtype:
        path = self.folder / STORE_FILE
        if not path.is_file():
            self._make(path, dtype or "bf16")
        try:
            found = read_json(path)
        except InputError as error:
            raise StoreError(str(error)) from None
        if found.get("format_version") != STORE_VERSION or found.get("dtype") not in DTYPES:
            raise StoreError(
                f"{path}: format version {found.get('format_version')} of {found.get('dtype')}, this library reads "
                f"version {STORE_VERSION}; name another folder for a new store"
            )
        if dtype not in (None, found["dtype"]):
            raise StoreError(
                f"{self.folder}: a store of {found['dtype']}, not {dtype}; leave dtype out, or make another"
            )
        kept: Dtype = found["dtype"]
        return kept

    def _make(self, path: Path, dtype: Dtype) -> None:
        with self._writing():
            if self.folder.exists() and not self.folder.is_dir():
                raise StoreError(f"{self.folder}: a file; name a folder")
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK):
                if path.is_file():
                    return
                if not all(_is_remnant(entry) for entry in self.folder.iterdir()):
                    raise StoreError(
                        f"{self.folder}: holds no {STORE_FILE} but other things; name a new or empty folder"
                    )
                for name in (LOOSE, SHARDS, WRITERS):
                    (self.folder / name).mkdir(exist_ok=True)
                text = json.dumps({"format_version": STORE_VERSION, "dtype": dtype}, indent=2) + "\n"
                write_durably(path, text.encode())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tell what a failed write means for the user."""
        try:
            yield
        except (OSError, WriteError) as error:
            why = error.why if isinstance(error, WriteError) else why_not_written(error)
            raise StoreError(f"{self.folder}: the store cannot be written: {why}") from None

    @contextmanager
    def _packing(self) -> Iterator[None]:
        self.close()
        with self._writing(), FileLock(self.folder / LOCK):
            yield

    def _roll(self) -> FileLock:
        return FileLock(self.folder / ROLL)

    def _announce(self) -> None:
        """Hold a lock of one's own while writing, by which others see that somebody does."""
        if self._mark is None:
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
            mark = FileLock(self.folder / WRITERS / name)
            with self._roll():
                mark.acquire()
            self._mark = mark

    def _living_writers(self) -> list[str]:
        """Return the hosts and processes that write, and remove the marks of those that died; only with the roll."""
        living = []
        for path in (self.folder / WRITERS).iterdir():
            try:
                with FileLock(path, timeout=0):
                    path.unlink(missing_ok=True)
            except Timeout:
                living.append(path.stem.rsplit("-", 1)[0])
        return living

    def _sweep(self) -> None:
        """Remove loose files that crashed writers left half-written; only while nobody writes."""
        for path in (self.folder / LOOSE).glob("*/.*"):
            path.unlink(missing_ok=True)

    def _check_room(self, size: int) -> None:
        if self.max_gb is None:
            return
        if size > self._room:
            room = self.max_gb * GIGABYTE - self.size_bytes
            if size > room:
                raise StoreError(
                    f"{self.folder}: the store would outgrow its limit of {self.max_gb:g} GB; "
                    "raise the limit or prune it"
                )
            self._room = max(size, room / ROOM_SHARE)
        self._room -= size

    def _loose_path(self, key: str) -> Path:
        return self.folder / LOOSE / key[:2] / (key + SHARD)

    def _loose_files(self) -> Iterator[Path]:
        return (self.folder / LOOSE).glob(f"*/[!.]*{SHARD}")

    def _read_loose(self, key: str) -> Packed | None:
        path = self._loose_path(key)
        try:
            with safe_open(path, "pt") as file:
                entry = json.loads((file.metadata() or {})["pave"])
                packed = Packed({name: file.get_tensor(name) for name in file.keys()}, entry)
                if packed.is_sound(key):
                    return packed
        except FileNotFoundError:
            return None
        except (SafetensorError, ValueError, KeyError, AttributeError):
            pass
        if path.exists():
            logger.warning("%s: fails its checksum; it is not used", path)
        return None

    def _repack(self, stale: set[str], keep: Collection[str] | None) -> None:
        """Pack all sound loose items, and those of shards that must go, into new shards.

        Args:
            stale: Names of shards that must go; those with items that are loose, too, join them, and small ones.
            keep: Keys of the items that stay; ``None`` for all.
        """
        self._shards.refresh()
        loose = {path.stem: path for path in self._loose_files()}
        stale = stale | self._shards.holding(loose)
        small = self._shards.below(SHARD_BYTES // 2)
        if loose or stale or len(small) > 1:
            stale |= small
        keys = sorted(set(loose).union(*(self._shards.keys_in(name) for name in stale)))
        kept = keys if keep is None else [key for key in keys if key in keep]
        found = ((key, self._read_loose(key) or self._shards.read(key)) for key in kept)
        written = self._shards.write(((key, packed) for key, packed in found if packed is not None), SHARD_BYTES)
        self._shards.refresh()
        self._shards.remove(stale - set(written))
        self._shards.refresh()
        packed, dropped = self._shards.keys(), set(keys) - set(kept)
        for key, path in loose.items():
            # An unsound one may have been made again in the meantime.
            if key in packed or key in dropped or self._read_loose(key) is None:
                path.unlink(missing_ok=True)
        self._shards.sweep()


def _is_remnant(entry: Path) -> bool:
    """Whether a making of a store that was cut off may have left this."""
    if entry.name in (LOOSE, SHARDS, WRITERS):
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name == LOCK or entry.name.startswith(f".{STORE_FILE}-")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
