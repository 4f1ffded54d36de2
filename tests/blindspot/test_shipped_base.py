"""The shipped base: small, sees what frames show on real films, and does not know what they hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.measure import measure_base
from pave.shipped import shipped_bases

BASE = shipped_bases()["blindspot"]


def test_it_is_a_few_megabytes_of_safetensors_with_a_card() -> None:
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 10_000_000
    assert [path.name for path in BASE.glob("*.bin")] == []
    assert "pave blindspot train-base --out DIR --seed" in (BASE / "README.md").read_text(encoding="utf-8")


def test_it_answers_what_can_be_seen(tmp_path: Path) -> None:
    films = make(MakeConfig("see", 160, seed=90_001, out=tmp_path / "see", workers=1))
    assert measure_base(BASE, films.samples).accuracy >= 0.9


def test_it_is_at_chance_on_what_is_only_heard(tmp_path: Path) -> None:
    films = make(MakeConfig("hear", 160, seed=90_002, out=tmp_path / "hear", workers=1))
    measured = measure_base(BASE, films.samples)
    # 160 questions: the standard error is under 0.04.
    assert measured.accuracy == pytest.approx(measured.blind, abs=0.11)
