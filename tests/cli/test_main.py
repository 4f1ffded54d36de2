"""The command line as a process: what a shell sees of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["info", "--list"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pave", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


NOISY = """
import logging, multiprocessing
where = "command" if multiprocessing.current_process().name == "MainProcess" else "child"
logging.getLogger("noisy").warning("a warning of an import in the %s", where)
logging.getLogger("noisy").error("an error of an import in the %s", where)

def work():
    pass
"""
COMMAND = """
import multiprocessing, sys
from pave.cli import main

if __name__ == "__main__":
    from noisy import work

    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_processes_of_a_command_are_as_quiet_as_the_command(tmp_path: Path) -> None:
    """What they are given is imported before they run a line of ours."""
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "command.py").write_text(COMMAND)
    done = subprocess.run([sys.executable, tmp_path / "command.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "a warning of an import in the command",
        "an error of an import in the command",
        "pave: an error of an import in the child",
    ]
