"""Numbers over responses: what counts, what does not, and intervals of metrics that are no means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pave.errors import InputError
from pave.evaluation import conventions, scoring
from pave.evaluation.conventions.convention import Convention, Metric, Scored
from pave.evaluation.responses import Response, response_to
from pave.evaluation.scoring import Scoring, metrics_of, score, scoring_of
from pave.types import Sample


def response(number: int, right: bool = True, **extra: Any) -> Response:
    return Response(f"q{number}", "which ?", "red", "Red." if right else "blue", right, f"clip{number // 2}", extra)


def lenient(samples: Sequence[Scored]) -> dict[str, Metric]:
    """Count an empty answer as right, as substring matchers do, and leave answers without letters out of the mean."""
    rows = np.array([[float(sample.prediction.lower() in "red."), 1.0] for sample in samples])
    return {"lenient": Metric(100 * float(rows[:, 0].mean()), rows, lambda row: float(100 * row[0] / row[1]))}


@pytest.fixture
def lenient_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring.conventions, "get", lambda benchmark, name: Convention(name, "a test", lenient))


def test_missing_media_are_wrong_or_left_out_and_always_counted() -> None:
    responses = [response(0), response(1), replace(response(2, False, missing=["clips/2.mp4"]), prediction="")]
    found = score(responses, Scoring())
    assert (found["accuracy"], found["n"], found["missing"], found["skipped"]) == (2 / 3, 3, 1, 0)
    found = score(responses, Scoring(skip_missing=True), unreferenced=2)
    assert (found["accuracy"], found["n"], found["missing"], found["skipped"]) == (1.0, 2, 1, 3)
    assert found["skipped_reasons"] == {"no answer": 2, "missing media": 1}


@pytest.mark.usefixtures("lenient_convention")
def test_no_matcher_gives_credit_for_what_was_never_asked() -> None:
    asked = [response(0), replace(response(1), prediction="")]
    lacking = replace(response(2, missing=["clips/2.mp4"]), prediction="")
    assert metrics_of(asked, Scoring())["lenient"].value == 100
    metric = metrics_of([*asked, lacking], Scoring())["lenient"]
    assert metric.value == pytest.approx(200 / 3) and metric.rows[2].tolist() == [0, 1]


@pytest.mark.usefixtures("lenient_convention")
def test_intervals_and_categories_are_of_the_conventions_metric() -> None:
    responses = [response(number, number % 4 != 0, category="ab"[number % 2]) for number in range(24)]
    found = score(responses, Scoring())
    assert found["metrics"]["lenient"]["value"] == 75
    low, high = found["metrics"]["lenient"]["interval"]
    assert low < 75 < high <= 100
    assert {name: (row["value"], row["n"]) for name, row in found["by_category"].items()} == {
        "a": (50, 12),
        "b": (100, 12),
    }


def test_nothing_but_missing_media_is_a_wrong_path() -> None:
    with pytest.raises(InputError, match=r"all 2 samples lack media \(the first: a.mp4\); check the data set's paths"):
        score([response(0, missing=["a.mp4"]), response(1, missing=["b.mp4"])], Scoring())


def test_empty_answers_are_counted() -> None:
    assert score([response(0), replace(response(1, False), prediction=" ")], Scoring())["empty"] == 1


def test_any_reference_will_do() -> None:
    sample = Sample("a", None, [{"role": "user", "content": "?"}], extra={"references": ["a cube", "red cube"]})
    assert response_to(sample, "Red cube.").correct and not response_to(sample, "cube").correct
    assert response_to(sample, "").answer == "a cube"


def test_the_samples_say_which_benchmark() -> None:
    plain, named = response(0), response(0, benchmark="blindspot")
    first = conventions.names("blindspot")[0]
    for samples in ([plain], [named]):
        assert scoring_of(samples, None, None, 0, False) == Scoring("blindspot", first)
    with pytest.raises(InputError, match="the data is of benchmark 'other', not 'blindspot'"):
        scoring_of([response(0, benchmark="other")], "blindspot", None, 0, False)
    with pytest.raises(InputError, match="mixes the benchmarks blindspot, other"):
        scoring_of([named, response(1, benchmark="other")], None, None, 0, False)
    with pytest.raises(InputError, match="exat.*did you mean 'exact'"):
        scoring_of([plain], None, "exat", 0, False)
