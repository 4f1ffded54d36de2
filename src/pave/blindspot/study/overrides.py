"""Settings with some of their fields replaced, and texts with the names of a run filled in."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from pave.errors import InputError, nearest

_PLACE = re.compile(r"\{([^{}]*)\}")


def overridden(settings: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings with some fields replaced.

    Args:
        settings: As a YAML file gives them.
        changes: Field to value; ``a.b`` is field ``b`` of ``a``, and ``a.0`` the first entry of the list ``a``.
        where: For error messages.

    Raises:
        InputError: If a field lies in what is neither a mapping nor a list, or beyond the end of a list.
    """
    changed = copy.deepcopy(dict(settings))
    for path, value in changes.items():
        *outer, last = path.split(".")
        inside: Any = changed
        for step in outer:
            inside = _entry(inside, step, f"{where}: override {path}")
        _put(inside, last, copy.deepcopy(value), f"{where}: override {path}")
    return changed


def _entry(inside: Any, step: str, where: str) -> Any:
    if isinstance(inside, dict):
        if inside.get(step) is None:
            inside[step] = {}
        return inside[step]
    return inside[_place(inside, step, where)]


def _put(inside: Any, step: str, value: Any, where: str) -> None:
    if isinstance(inside, dict):
        inside[step] = value
    else:
        inside[_place(inside, step, where)] = value


def _place(inside: Any, step: str, where: str) -> int:
    if not isinstance(inside, list):
        raise InputError(f"{where}: {step!r} lies in {inside!r}, which has no fields")
    if not step.isdecimal() or int(step) >= len(inside):
        raise InputError(f"{where}: {step!r} is no place in a list of {len(inside)} entries")
    return int(step)


def filled_in(value: Any, labels: Mapping[str, str], where: str) -> Any:
    """Return a value in whose texts ``{axis}`` is replaced by a run's value on that axis.

    Raises:
        InputError: If a text names an axis that the run does not have.
    """
    if isinstance(value, str):
        return _PLACE.sub(lambda found: _label(found[1], labels, where), value)
    if isinstance(value, dict):
        return {filled_in(key, labels, where): filled_in(entry, labels, where) for key, entry in value.items()}
    if isinstance(value, list):
        return [filled_in(entry, labels, where) for entry in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        filled = {item.name: filled_in(getattr(value, item.name), labels, where) for item in dataclasses.fields(value)}
        return type(value)(**filled)
    return value


def _label(axis: str, labels: Mapping[str, str], where: str) -> str:
    if axis not in labels:
        known = ", ".join(labels) or "none"
        raise InputError(f"{where}: {{{axis}}} is no axis of it; its axes: {known}{nearest(axis, labels)}")
    return labels[axis]
