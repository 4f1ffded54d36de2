"""Keeps the chatter of libraries off the screen of a command and its workers; errors and our own messages stay."""

from __future__ import annotations

import logging
import warnings


def quieten() -> None:
    """Show this library's warnings and errors, one line each, and of others only errors."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for package in ("transformers", "peft"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=package)
    logging.basicConfig(level=logging.ERROR, format="pave: %(message)s")
    logging.getLogger("pave").setLevel(logging.WARNING)
