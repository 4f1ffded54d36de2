"""Keeps the chatter of libraries off the screen of a command and its workers; errors and our own messages stay."""

from __future__ import annotations

import logging
import warnings


def quieten_logging() -> None:
    """Show this library's warnings and errors, one line each, and of others only errors.

    Some libraries warn while they are imported: a command does this first, and :func:`quieten` once it has them.
    """
    logging.basicConfig(level=logging.ERROR, format="pave: %(message)s")
    logging.getLogger("pave").setLevel(logging.WARNING)


def quieten() -> None:
    """Quieten logging, and what transformers and peft say by ways of their own."""
    from transformers.utils import logging as transformers_logging

    quieten_logging()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for package in ("transformers", "peft"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=package)
