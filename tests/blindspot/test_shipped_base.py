"""The shipped bases: small, see what frames show on real films, and do not know what they hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.measure import measure_base
from pave.blindspot.tiny_base import FAMILIES
from pave.config import read_json
from pave.shipped import shipped_bases

NAMED = {made.shipped_as: family for family, made in FAMILIES.items()}


def test_each_family_has_one() -> None:
    assert set(shipped_bases()) == set(NAMED)


@pytest.fixture(scope="module", params=shipped_bases())
def base(request: pytest.FixtureRequest) -> Path:
    return shipped_bases()[request.param]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    seeds = {"see": 90_001, "hear": 90_002}
    return {
        track: make(MakeConfig(track, 160, seed, folder / track, workers=1)).samples for track, seed in seeds.items()
    }


def test_it_is_a_few_megabytes_of_safetensors_with_a_card(base: Path) -> None:
    assert sum(path.stat().st_size for path in base.iterdir()) < 10_000_000
    assert [path.name for path in base.glob("*.bin")] == []
    assert "pave blindspot train-base --out DIR --seed" in (base / "README.md").read_text(encoding="utf-8")


def test_its_name_says_its_family(base: Path) -> None:
    assert read_json(base / "config.json")["model_type"] == NAMED[base.name]


def test_it_answers_what_can_be_seen(base: Path, films: dict[str, Path]) -> None:
    assert measure_base(base, films["see"]).accuracy >= 0.9


def test_it_is_at_chance_on_what_is_only_heard(base: Path, films: dict[str, Path]) -> None:
    measured = measure_base(base, films["hear"])
    # 160 questions: the standard error is under 0.04.
    assert measured.accuracy == pytest.approx(measured.blind, abs=0.11)
