"""The command line: one file a command, loaded only when it is called."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pave.errors import InputError, nearest

COMMANDS = {
    "demo": "watch a tiny Video LLM fail on sound, then answer once patched",
    "ask": "ask a question about a video, with or without patches",
    "train": "train a patch from a YAML file",
    "eval": "score a base and its patches on a data set",
    "info": "count parameters and FLOPs of base, patch, LoRA and encoder",
    "doctor": "check this installation",
    "blindspot": "make sets of the embedded world, train its tiny base",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 the input is wrong."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        from pave import __version__

        print(__version__)
        return 0
    name, *rest = arguments
    try:
        if name not in COMMANDS:
            raise InputError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}{nearest(name, COMMANDS)}")
        run: Callable[[list[str]], None] = importlib.import_module(f"pave.cli.{name}").main
        run(rest)
    except InputError as error:
        print(f"pave: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def parse(target: Callable[..., Any], command: str, arguments: Sequence[str]) -> Any:
    """Call a function, or make a dataclass, with the arguments of its command line.

    Args:
        target: Its signature and docstring make the options and their help.
        command: Name in messages, such as ``pave ask``.
        arguments: A YAML file with any of the settings, if one comes first, and options that override it.

    Raises:
        InputError: If a setting is unknown, missing or of another type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    arguments = _with_flags(target, [_underscored(argument) for argument in arguments])
    if arguments and arguments[0].endswith((".yaml", ".yml")):
        arguments.insert(0, "--config")
    parser = ArgumentParser(prog=command, description=_first_line(target), exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of these settings")
    if dataclasses.is_dataclass(target):
        parser.add_class_arguments(target, as_group=False)
    else:
        parser.add_function_arguments(target, as_group=False)
    try:
        settings = parser.instantiate(parser.parse_args(arguments))
    except ArgumentError as error:
        _check_files(target, arguments)
        raise InputError(f"{command}: {_shorten(str(error), parser)}; see {command} --help") from None
    settings.pop("config", None)
    return target(**{name: settings[name] for name in vars(settings)})


def _underscored(argument: str) -> str:
    """Return ``--max-new-tokens=5`` as ``--max_new_tokens=5``: both spellings are understood."""
    name, equals, value = argument.partition("=")
    return (name.replace("-", "_").replace("__", "--", 1) if name.startswith("--") else name) + equals + value


def _with_flags(target: Any, arguments: Sequence[str]) -> list[str]:
    """Let ``--json`` stand for ``--json true``, and so for every setting that is true or false."""
    flags = {f"--{name}" for name, hint in typing.get_type_hints(target).items() if hint is bool}
    spelled: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):
        spelled.append(argument)
        if argument in flags and after.lower() not in ("true", "false"):
            spelled.append("true")
    return spelled


def _first_line(target: Any) -> str:
    return (target.__doc__ or "").strip().splitlines()[0]


def _check_files(target: Any, arguments: Sequence[str]) -> None:
    """Look for the fault in a settings file first: its own message is the plainer one."""
    from pave.config import from_dict

    if not dataclasses.is_dataclass(target):
        return
    for option, value in zip(arguments, arguments[1:], strict=False):
        if option == "--config":
            from_dict(target, read_yaml(Path(value)), value)  # type: ignore[arg-type]


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: If it is missing or is no YAML.
    """
    import yaml

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


def _shorten(message: str, parser: Any) -> str:
    """Return what matters of a parser's message on one line, with the nearest option for one that is unknown."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
    if lines[0].lower().startswith("unrecognized arguments:"):
        option = lines[0].split(":", 1)[1].split()[0].split("=")[0]
        known = [name for action in parser._actions for name in action.option_strings]
        return f"unknown option {option!r}{nearest(option, known)}"
    told = [line for line in lines if not line.startswith(("Does not validate", "Subtypes", "Errors", "Given value"))]
    return " ".join(told)


def print_json(result: dict[str, Any]) -> None:
    """Print a command's result for scripts: one JSON object on one line, the last of stdout."""
    sys.stdout.flush()
    print(json.dumps(result), flush=True)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "pave: patch pretrained Video LLMs with side channels\n\n"
        f"usage: pave COMMAND [FILE.yaml] [--option value ...]\n\ncommands:\n{listed}\n\n"
        "pave COMMAND --help lists its options; pave --version prints the version"
    )
