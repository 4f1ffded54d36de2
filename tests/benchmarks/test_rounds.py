"""Variants are measured in turn, and compared within a round."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest


@pytest.fixture
def rounds() -> ModuleType:
    return importlib.import_module("rounds")


def test_the_order_turns_and_the_first_round_is_not_counted(rounds: ModuleType) -> None:
    ran: list[str] = []
    found = rounds.in_turn({name: lambda name=name: ran.append(name) for name in "abc"}, 2)
    assert "".join(ran) == "cab" + "abc" + "bca"
    assert {name: len(times) for name, times in found["sec"].items()} == {"a": 2, "b": 2, "c": 2}


def test_ratios_compare_within_a_round(rounds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: clock["now"])
    costs = {"base": iter([9.0, 1.0, 10.0]), "patch": iter([9.0, 1.2, 14.0])}

    def spend(name: str) -> None:
        clock["now"] += next(costs[name])

    found = rounds.in_turn({name: lambda name=name: spend(name) for name in costs}, 2)
    assert found["ratio"] == {"patch": pytest.approx(1.3)}
    assert found["median_sec"] == {"base": pytest.approx(5.5), "patch": pytest.approx(7.6)}
