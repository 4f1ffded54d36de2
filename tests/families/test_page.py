"""The page about bases is what the suite holds."""

from __future__ import annotations

from tests.families.page import PAGE, render


def test_page_is_up_to_date() -> None:
    """If this fails: ``python -m tests.families.page``."""
    assert PAGE.read_text(encoding="utf-8") == render()
