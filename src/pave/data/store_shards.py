"""The packed part of a feature store: shards of many items, each a safetensors file with an index beside it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pave.data.store_item import Packed
from pave.files import whole_file

logger = logging.getLogger(__name__)

SHARD, INDEX = ".safetensors", ".json"
OPEN_SHARDS = 32


class Shards:
    """Shards of one folder, which other processes may add to and replace.

    A shard's file appears before its index, and goes after it: whatever has an index is whole, unless the disk
    itself lost bytes.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._indices: dict[str, dict[str, Any]] = {}
        self._places: dict[str, list[str]] = {}
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._damaged: dict[str, set[str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def refresh(self) -> None:
        """Take note of shards that came and went."""
        found = {path.stem for path in self.folder.glob(f"[!.]*{INDEX}")}
        gone, new = self._indices.keys() - found, found - self._indices.keys() - self._damaged.keys()
        if not gone and not new:
            return
        for name in gone:
            del self._indices[name]
            self._open.pop(name, None)
        for name in sorted(new):
            index = self._read_index(name)
            if index is not None:
                self._indices[name] = index
        self._places = {}
        for name, index in self._indices.items():
            for key in index:
                self._places.setdefault(key, []).append(name)

    def keys(self) -> set[str]:
        """Keys of all items."""
        return set(self._places)

    @property
    def lost(self) -> set[str]:
        """Keys of shards that are cut off or damaged as a whole, as far as their indices tell."""
        return set().union(*self._damaged.values()) - self.keys()

    def below(self, size: int) -> set[str]:
        """Names of the shards of fewer bytes."""
        return {
            name for name in self._indices if not self._path(name).exists() or self._path(name).stat().st_size < size
        }

    def keys_in(self, name: str) -> set[str]:
        """Keys of one shard."""
        return set(self._indices[name])

    def unsound(self) -> set[str]:
        """Names of the shards that hold any item whose checksum fails; reads everything."""
        return {
            name
            for name, index in self._indices.items()
            if not all((packed := self._read(name, key)) is not None and packed.is_sound(key) for key in index)
        }

    def holding(self, keys: Iterable[str]) -> set[str]:
        """Names of the shards that hold any of these keys."""
        return {name for key in keys for name in self._places.get(key, ())}

    def read(self, key: str) -> Packed | None:
        """Return an item, if some shard holds a sound copy."""
        for name in self._places.get(key, ()):
            packed = self._read(name, key)
            if packed is not None and packed.is_sound(key):
                return packed
            if packed is not None or (self.folder / (name + INDEX)).exists():
                logger.warning("%s: item %s fails its checksum; it is not used", self._path(name), key)
        return None

    def write(self, items: Iterator[tuple[str, Packed]], limit: int) -> list[str]:
        """Pack items, in the order of their keys, into shards of about ``limit`` bytes, and return their names."""
        names, batch, size = [], dict[str, Packed](), 0
        for key, packed in items:
            if batch and size + packed.size > limit:
                names.append(self._write_shard(batch))
                batch, size = {}, 0
            batch[key] = packed
            size += packed.size
        if batch:
            names.append(self._write_shard(batch))
        return names

    def remove(self, names: Iterable[str]) -> None:
        """Delete shards."""
        for name in names:
            (self.folder / (name + INDEX)).unlink(missing_ok=True)
            self._path(name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what crashes left: files that are no shard with an index. Only the one who packs may do that."""
        for path in self.folder.iterdir():
            if path.stem not in self._indices or path.suffix not in (SHARD, INDEX):
                path.unlink(missing_ok=True)
        self._damaged.clear()

    def _path(self, name: str) -> Path:
        return self.folder / (name + SHARD)

    def _write_shard(self, batch: dict[str, Packed]) -> str:
        tensors = {f"{key}/{name}": tensor for key, packed in batch.items() for name, tensor in packed.tensors.items()}
        items = {key: packed.entry for key, packed in batch.items()}
        content = save(tensors)
        # Named by content: whoever packs the same items, however often, writes the same files.
        name = hashlib.sha256("".join(entry["sha256"] for entry in items.values()).encode()).hexdigest()[:32]
        write_durably(self._path(name), content)
        index = json.dumps({"bytes": len(content), "items": items}, sort_keys=True)
        write_durably(self.folder / (name + INDEX), index.encode())
        self._open.pop(name, None)
        self._damaged.pop(name, None)
        return name

    def _read_index(self, name: str) -> dict[str, Any] | None:
        path, items = self.folder / (name + INDEX), dict[str, Any]()
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            items = dict(index["items"])
            if self._path(name).stat().st_size == index["bytes"]:
                return items
        except FileNotFoundError:
            if not path.exists():
                return None
        except (ValueError, KeyError, TypeError):
            items = {}
        logger.warning("%s: damaged or cut off; its items are not used", self._path(name))
        self._damaged[name] = set(items)
        return None

    def _read(self, name: str, key: str) -> Packed | None:
        entry = self._indices[name][key]
        try:
            shard = self._opened(name)
            tensors = {tensor: shard.get_tensor(f"{key}/{tensor}") for tensor in entry["tensors"]}
        except (FileNotFoundError, SafetensorError, KeyError, TypeError):
            return None
        return Packed(tensors, entry)

    def _opened(self, name: str) -> Any:
        shard = self._open.pop(name, None)
        if shard is None:
            shard = safe_open(self._path(name), "pt")
        self._open[name] = shard
        while len(self._open) > OPEN_SHARDS:
            self._open.popitem(last=False)
        return shard


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, and outlives a power cut."""
    with whole_file(path) as fresh, fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
