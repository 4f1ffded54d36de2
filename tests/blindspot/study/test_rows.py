"""Rows: what runs of several seeds score together, and how two rows differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.blindspot.study.page.verdicts import compared
from pave.blindspot.study.plan import read_plan
from pave.blindspot.study.result import Results
from pave.blindspot.study.rows import Row, pooled_difference, rows_of
from pave.errors import InputError
from tests.blindspot.study.made_up import QUESTIONS, write_result
from tests.blindspot.study.plans import write_plan


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Row]:
    runs = read_plan(write_plan(tmp_path)).runs
    results = Results(tmp_path / "results")
    for run, rate in zip(runs, (0.25, 0.25, 0.35, 0.9, 1.0), strict=True):
        write_result(results, run, rate, seed=len(run.name))
    return {row.name: row for row in rows_of(runs, results)}


def test_runs_that_differ_in_their_seed_are_one_row(rows: dict[str, Row]) -> None:
    assert list(rows) == ["base", "lora", "default"]
    assert [len(row.runs) for row in rows.values()] == [1, 2, 2]
    score = rows["default"].score("hear")
    assert score is not None
    assert score.value == pytest.approx(0.95) and score.seeds == pytest.approx((0.9, 1.0))
    assert score.interval[0] < 0.95 < score.interval[1] and score.n == QUESTIONS and score.chance == 0.25


def test_a_difference_is_that_of_the_values_and_knows_the_pairs(rows: dict[str, Row]) -> None:
    gain = rows["default"].difference(rows["lora"], "hear")
    same = rows["lora"].difference(rows["lora"], "hear")

    assert gain is not None and same is not None
    assert gain.value == pytest.approx(0.95 - 0.3)
    assert gain.interval[0] < gain.value < gain.interval[1] and compared(gain) == "clearly better"
    assert same.value == 0 and same.interval == (0, 0) and compared(same) == "no clear difference"
    back = rows["lora"].difference(rows["default"], "hear")
    assert back is not None and compared(back) == "clearly worse"


def test_other_seeds_would_differ_by_students_t(rows: dict[str, Row]) -> None:
    # Seeds of 0.9 and 1.0 against 0.25 and 0.35: a standard error of 0.0707 with two degrees of freedom.
    interval = rows["default"].interval_over_seeds(rows["lora"], "hear")
    assert interval == pytest.approx((0.65 - 4.303 * 0.0707, 0.65 + 4.303 * 0.0707), abs=1e-4)
    alone = rows["default"].without(["1"])
    assert alone.interval_over_seeds(rows["lora"], "hear") is not None
    assert alone.interval_over_seeds(rows["lora"].without(["1"]), "hear") is None
    assert alone.interval_over_seeds(rows["lora"].without(["0", "1"]), "hear") is None


def test_a_seed_nearer_to_chance_than_to_all_right_has_not_learned(rows: dict[str, Row]) -> None:
    assert rows["default"].unlearned("hear") == []
    assert rows["lora"].unlearned("hear") == ["0", "1"]
    score = rows["default"].without(["1"]).score("hear")
    assert score is not None and score.seeds == pytest.approx((0.9,))
    assert rows["lora"].without(["0", "1"]).score("hear") is None


def test_differences_of_several_pairs_are_pooled_and_films_stay_apart(rows: dict[str, Row]) -> None:
    one = rows["default"].difference(rows["lora"], "hear")
    pair = (rows["default"], rows["lora"])
    alone, pooled = pooled_difference([pair], "hear"), pooled_difference([pair, pair, pair, pair], "hear")
    assert one is not None and alone is not None and pooled is not None
    assert (alone.value, alone.interval) == (one.value, one.interval)
    assert pooled.value == pytest.approx(one.value) and pooled.n == 4 * one.n
    # Four times the films, all of them apart: an interval of half the width.
    width, narrower = (score.interval[1] - score.interval[0] for score in (one, pooled))
    assert narrower == pytest.approx(width / 2, rel=0.25)
    assert pooled_difference([(rows["default"].without(["0", "1"]), rows["lora"])], "hear") is None


def test_several_evaluations_are_compared_in_their_mean(rows: dict[str, Row]) -> None:
    base = rows["base"]
    score = base.found[0]["scores"]["hear"]
    wrong = {**score, "correct": "0" * QUESTIONS}
    both = Row("both", {}, base.runs, [{**base.found[0], "scores": {"hear": score, "wrong": wrong}}])
    none = Row("none", {}, base.runs, [{**base.found[0], "scores": {"hear": wrong, "wrong": wrong}}])
    gain, half = none.difference(both, "hear"), none.difference(both, ("hear", "wrong"))

    assert gain is not None and half is not None
    assert half.value == pytest.approx(gain.value / 2) and half.interval == pytest.approx(
        tuple(edge / 2 for edge in gain.interval)
    )


def test_a_row_without_results_has_no_score(tmp_path: Path, rows: dict[str, Row]) -> None:
    empty = rows_of(rows["lora"].runs, Results(tmp_path / "nothing"))[0]

    assert empty.score("hear") is None
    assert empty.difference(rows["base"], "hear") is None and rows["base"].difference(empty, "hear") is None
    assert empty.fact("cost", "flops") is None and empty.trained_weights is None


def test_costs_are_means_over_runs(rows: dict[str, Row]) -> None:
    assert rows["lora"].fact("cost", "flops") == 10e6
    assert rows["lora"].trained_weights == 1100
    assert rows["base"].fact("trained", "seconds_a_step") is None


def test_rows_with_other_questions_are_not_compared(rows: dict[str, Row]) -> None:
    base = rows["base"]
    other = {**base.found[0], "scores": {"hear": {**base.found[0]["scores"]["hear"], "clips": [0] * QUESTIONS}}}

    with pytest.raises(InputError, match="not asked the same questions"):
        rows["lora"].difference(Row("other", {}, base.runs, [other]), "hear")
