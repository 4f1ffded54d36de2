"""Prints the folder of task files, for lmms-eval's ``--include_path``."""

from __future__ import annotations

from pave.evaluation.lmms import TASKS

print(TASKS)
