"""The tables on the page on costs are those that the data give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pave.cost.table import BASES, between, known, shares, written

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


def settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "configs" / "patch-audio.yaml").read_text(encoding="utf-8"))


def test_known_sizes_are_up_to_date() -> None:
    assert between(PAGE, "known", known()) == PAGE


@pytest.mark.parametrize("name", ["llava-onevision-0.5b", "llava-onevision-7b"])
def test_shares_are_up_to_date(name: str) -> None:
    assert shares(settings(), (name,)).splitlines()[-1] in PAGE


def test_every_base_has_its_shares() -> None:
    assert all(f"| `{name}` |" in PAGE.split("<!-- /shares -->")[0] for name in BASES)


@pytest.mark.slow
def test_the_whole_page_is_up_to_date() -> None:
    assert written(PAGE, settings()) == PAGE
