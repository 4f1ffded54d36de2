"""One generic registry: names to lazily imported classes, open to third parties through entry points."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from pave.errors import InputError, nearest

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Names to objects that are imported on first use.

    A target is the object itself or a string ``"module:attribute"``. Packages outside this project add theirs through
    the entry-point group, which is read when a name is first asked for.

    Args:
        noun: What one item is called in an error message, such as ``"patch type"``.
        group: Entry-point group for third parties, such as ``"pave.patches"``.
        builtin: This project's own items.
    """

    def __init__(self, noun: str, group: str, builtin: dict[str, str | Item]) -> None:
        self.noun = noun
        self.group = group
        self._targets: dict[str, str | Item] = dict(builtin)
        self._entry_points_read = False

    def names(self) -> list[str]:
        """Return every known name, sorted."""
        self._read_entry_points()
        return sorted(self._targets)

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def get(self, name: str) -> Item:
        """Return the object registered under ``name``, importing it on first use.

        Raises:
            InputError: If the name is unknown; the message lists the known names and the nearest one.
        """
        self._read_entry_points()
        if name not in self._targets:
            known = self.names()
            raise InputError(f"unknown {self.noun} {name!r}; known: {', '.join(known)}{nearest(name, known)}")
        target = self._targets[name]
        if isinstance(target, str):
            target = self._load(target)
            self._targets[name] = target
        return target

    def register(self, name: str, target: str | Item) -> None:
        """Add an item.

        Raises:
            InputError: If the name is taken by another target.
        """
        self._read_entry_points()
        if self._targets.get(name, target) != target:
            raise InputError(f"{self.noun} {name!r} is registered already; choose another name")
        self._targets[name] = target

    def _load(self, target: str) -> Item:
        module, _, attribute = target.partition(":")
        loaded: Any = importlib.import_module(module)
        for part in attribute.split("."):
            loaded = getattr(loaded, part)
        return cast(Item, loaded)

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        self._entry_points_read = True
        for point in entry_points(group=self.group):
            if point.name in self._targets:
                raise InputError(
                    f"{self.noun} {point.name!r} of {point.value} has a name that is taken; rename the entry point"
                )
            self._targets[point.name] = point.value
