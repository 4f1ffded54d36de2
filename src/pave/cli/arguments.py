"""Shell habits for every command: positional names, flags without a value, lists and pairs given one by one."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Sequence
from typing import Any

from pave.errors import InputError


def shell_style(function: Callable[..., Any], arguments: Sequence[str], positional: Sequence[str] = ()) -> list[str]:
    """Return command-line arguments in the form that :func:`pave.cli.parse` reads.

    A ``bool`` option needs no value (``--json``); a list may be given as ``--patch a b`` or ``--patch a --patch b``; a
    mapping as ``--side audio=a.wav depth=b.npy``.

    Args:
        function: The command's function; its type hints tell what each option is.
        arguments: As the shell gave them.
        positional: Options that may stand without their name, in this order.

    Raises:
        InputError: If an entry of a mapping is no ``name=value``.
    """
    kinds = {name: _kind(hint) for name, hint in typing.get_type_hints(function).items()}
    unnamed, lists = list(positional), dict[str, list[str]]()
    made: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or (given and name not in kinds):
            is_file = not made and not lists and word.endswith((".yaml", ".yml"))
            made.append(f"--{unnamed.pop(0)}={word}" if unnamed and not is_file and word[:1] != "-" else word)
        elif kinds.get(name) in (list, dict):
            lists.setdefault(name, []).extend([value] if given else _values(rest))
        elif kinds.get(name) is bool and not given:
            made.append(f"--{name}={rest.pop(0) if rest[:1] in (['true'], ['false']) else 'true'}")
        elif name in kinds and not given and rest:
            made.append(f"--{name}={rest.pop(0)}")
        else:
            made.append(f"--{name}={value}" if given else f"--{name}")
    for name, values in lists.items():
        whole = _pairs(name, values) if kinds[name] is dict else _whole_list(values)
        made.append(f"--{name}={whole}")
    return made


def _kind(hint: Any) -> type:
    """Return ``bool``, ``list``, ``dict`` or ``object`` for what a type hint, or its part beside None, stands for."""
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if type(None) in typing.get_args(hint) and len(options) == 1:
        return _kind(options[0])
    origin = typing.get_origin(hint) or hint
    return origin if origin in (bool, list, dict) else object


def _values(rest: list[str]) -> list[str]:
    values = []
    while rest and not rest[0].startswith("--"):
        values.append(rest.pop(0))
    return values


def _whole_list(values: list[str]) -> str:
    return values[0] if len(values) == 1 and values[0].startswith("[") else json.dumps(values)


def _pairs(option: str, values: list[str]) -> str:
    pairs = {}
    for entry in values:
        name, mark, value = entry.partition("=")
        if not (mark and name and value):
            raise InputError(f"--{option.replace('_', '-')} {entry}: write name=value, such as audio=sound.wav")
        pairs[name] = value
    return json.dumps(pairs)
