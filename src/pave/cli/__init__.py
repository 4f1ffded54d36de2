"""The command line: one file a command, loaded only when it is called."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pave.errors import InputError, nearest
from pave.quiet import quieten_logging

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS = {
    "demo": "watch a tiny Video LLM fail on what its frames do not show, then answer once patched",
    "ask": "ask a question about a video, with or without patches",
    "train": "train a patch from a YAML file",
    "eval": "score a base and its patches on a data set",
    "data": "prepare benchmarks, find what training and test sets share",
    "score": "score old responses again, without the model",
    "report": "one HTML page from evaluation results",
    "extract": "run encoders over a data set once, into a feature store",
    "info": "count parameters and FLOPs of base, patch, LoRA and encoder",
    "convert": "read and write the reference's checkpoints, bases and annotations",
    "doctor": "check this installation",
    "study": "execute a plan of trainings and evaluations, and print what they gave",
    "blindspot": "make sets of the embedded world, train its tiny bases",
}

if multiprocessing.current_process().name != "MainProcess":
    # A process that a command started imports what it is given before it runs a line or knows its parent.
    quieten_logging()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 the input is wrong."""
    try:
        try:
            _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Who reads, such as head, has seen enough; what is still to be written when Python ends would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except InputError as error:
        print(f"pave: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    if arguments[0] == "--version":
        from pave import __version__

        print(__version__)
        return
    name, *rest = arguments
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}{nearest(name, COMMANDS)}")
    quieten_logging()
    run: Callable[[list[str]], None] = importlib.import_module(f"pave.cli.{name}").main
    run(rest)


def print_json(result: dict[str, Any]) -> None:
    """Print a command's result for scripts: one JSON object on one line, the last of stdout."""
    sys.stdout.flush()
    print(json.dumps(result), flush=True)


def console(width: int | None = None) -> Console:
    """Return what prints tables: names stand there as they are, whatever brackets and colons they hold."""
    from rich.console import Console

    return Console(width=width, markup=False, emoji=False)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "pave: patch pretrained Video LLMs with side channels\n\n"
        f"usage: pave COMMAND [FILE.yaml] [--option value ...]\n\ncommands:\n{listed}\n\n"
        "pave COMMAND --help lists its options; pave --version prints the version"
    )
