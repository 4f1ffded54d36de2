"""From a command line to the arguments of a function: YAML files, overrides, and the habits of the shell."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pave.config import from_dict, read_yaml
from pave.errors import InputError, nearest


def parse(
    target: Callable[..., Any],
    command: str,
    arguments: Sequence[str],
    positional: Sequence[str] = (),
    may_be_empty: Collection[str] = (),
) -> Any:
    """Call a function, or make a dataclass, with the arguments of its command line.

    Args:
        target: Its signature and docstring make the options and their help.
        command: Name in messages, such as ``pave ask``.
        arguments: A YAML file with any of the settings, if one comes first, and options that override it.
        positional: Options that may stand without their name, in this order.
        may_be_empty: Lists for which nothing after their name means none.

    Raises:
        InputError: If a setting is unknown, missing or of another type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    arguments = shell_style(target, arguments, positional, may_be_empty)
    if arguments and arguments[0][:1] != "-" and arguments[0].endswith((".yaml", ".yml")):
        arguments.insert(0, "--config")
    for path in _settings_files(arguments):
        # The parser's own messages are less plain, and it takes the last of two values of one name.
        read_yaml(path)
    parser = ArgumentParser(prog=command, description=_first_line(target), exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of these settings")
    if dataclasses.is_dataclass(target):
        parser.add_class_arguments(target, as_group=False)
    else:
        # Where hints are strings, the parser imports all that their module imports for type checkers alone: models.
        target.__annotations__ = typing.get_type_hints(target)
        parser.add_function_arguments(target, as_group=False)
    try:
        settings = parser.instantiate(parser.parse_args(arguments))
    except (ArgumentError, ValueError, TypeError) as error:
        _check_files(target, arguments)
        raise InputError(f"{command}: {_shorten(str(error), parser)}; see {command} --help") from None
    settings.pop("config", None)
    given = {name: settings[name] for name in vars(settings)}
    _check_given(given, typing.get_type_hints(target), command)
    return target(**given)


def choose(command: str, summaries: Mapping[str, str], arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return which form of a command is called, and its own arguments; ``None`` where its help was shown instead.

    Raises:
        InputError: If there is no such form.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, summaries))
        listed = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in summaries.items())
        print(f"usage: {command} COMMAND [--option value ...]\n\ncommands:\n{listed}")
        return None
    name, *rest = arguments
    if name not in summaries:
        known = ", ".join(summaries)
        raise InputError(f"{command}: unknown command {name!r}; known: {known}{nearest(name, summaries)}")
    return name, rest


def _first_line(target: Any) -> str:
    return (target.__doc__ or "").strip().splitlines()[0]


def _check_files(target: Any, arguments: Sequence[str]) -> None:
    """Look for the fault in a settings file first: its own message is the plainer one."""
    if not dataclasses.is_dataclass(target):
        return
    for path in _settings_files(arguments):
        from_dict(target, read_yaml(path), str(path))  # type: ignore[arg-type]


def _settings_files(arguments: Sequence[str]) -> list[Path]:
    apart = [value for option, value in zip(arguments, arguments[1:], strict=False) if option == "--config"]
    joined = [word.removeprefix("--config=") for word in arguments if word.startswith("--config=")]
    return [Path(value) for value in [*apart, *joined]]


def _check_given(given: Mapping[str, Any], hints: Mapping[str, Any], command: str, place: str = "") -> None:
    """Check that nothing is null that must not be; the parser lets a settings file say so of everything."""
    for name, value in given.items():
        hint = hints.get(name, Any)
        if value is None and hint is not Any and type(None) not in typing.get_args(hint):
            raise InputError(f"{command}: {place}{name} is null; write a value, or leave it out")
        for number, entry in enumerate(value) if isinstance(value, (list, tuple)) else ((None, value),):
            if dataclasses.is_dataclass(entry) and not isinstance(entry, type):
                inside = f"{place}{name}." if number is None else f"{place}{name}.{number}."
                _check_given(vars(entry), typing.get_type_hints(type(entry)), command, inside)


def _shorten(message: str, parser: Any) -> str:
    """Return what matters of a parser's message on one line, with the nearest option for one that is unknown."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
    if lines[0].lower().startswith("unrecognized arguments:"):
        option = lines[0].split(":", 1)[1].split()[0].split("=")[0]
        known = [name for action in parser._actions for name in action.option_strings]
        return f"unknown option {option!r}{nearest(option, known)}"
    told = [line for line in lines if not line.startswith(("Does not validate", "Subtypes", "Errors", "Given value"))]
    return " ".join(told)


def shell_style(
    function: Callable[..., Any],
    arguments: Sequence[str],
    positional: Sequence[str] = (),
    may_be_empty: Collection[str] = (),
) -> list[str]:
    """Return command-line arguments in the form that the parser reads.

    A ``bool`` option needs no value (``--json``); a list may be given as ``--patch a b``, ``--patch a --patch b`` or
    ``--patch a --patch+ b``; a mapping as ``--side audio=a.wav depth=b.npy``.

    Args:
        function: The command's function; its type hints tell what each option is.
        arguments: As the shell gave them.
        positional: Options that may stand without their name, in this order.
        may_be_empty: Lists for which nothing after their name means none.

    Raises:
        InputError: If a list or a mapping is named without a value, or an entry of a mapping is no ``name=value``.
    """
    kinds = {name: _kind(hint) for name, hint in typing.get_type_hints(function).items()}
    unnamed, lists = list(positional), dict[str, list[str]]()
    made: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        longer = name.removesuffix("+")
        if not word.startswith("--") or (given and longer not in kinds):
            is_file = not made and not lists and word.endswith((".yaml", ".yml"))
            made.append(f"--{unnamed.pop(0)}={word}" if unnamed and not is_file and word[:1] != "-" else word)
        elif longer != name and kinds.get(longer) is list:
            # The parser's own way to add to a list, be it of this line or of a settings file.
            values = [value] if given else _values(word, rest, False)
            if longer in lists:
                lists[longer].extend(values)
            else:
                made.extend(f"--{name}={value}" for value in values)
        elif kinds.get(name) in (list, dict):
            lists.setdefault(name, []).extend([value] if given else _values(word, rest, name in may_be_empty))
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


def _values(option: str, rest: list[str], may_be_empty: bool) -> list[str]:
    values = []
    while rest and not rest[0].startswith("--"):
        values.append(rest.pop(0))
    if not values and not may_be_empty:
        # Nothing would be as if the option were not there: a variable of the shell may be empty by mistake.
        raise InputError(f"{option}: has no value; write one or more after it, or leave it out")
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
