"""The page of the study, made of result files: ``python -m pave.blindspot.study.page studies docs/study.md``."""

from __future__ import annotations
