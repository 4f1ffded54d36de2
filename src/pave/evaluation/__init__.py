"""Evaluation: answers of base and patched models on the same samples, scored, with intervals."""

from __future__ import annotations
