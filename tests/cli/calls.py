"""A command called as a user would, with what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pave.cli import main


def call(command: str, *arguments: object) -> int:
    """Return the exit code."""
    return main([command, *map(str, arguments)])


def result(command: str, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Return what the command prints as JSON."""
    assert call(command, *arguments, "--json") == 0
    loaded: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return loaded


def refused(command: str, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one line that says why the command will not work."""
    assert call(command, *arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert captured.out == "" and line.startswith("pave: ")
    return line
