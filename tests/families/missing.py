"""Cells of the behaviour suite in which stock transformers itself fails, and how; the rest passes."""

from __future__ import annotations

MISSING: dict[tuple[str, str], str] = {}
"""Family and behaviour to the reason."""
