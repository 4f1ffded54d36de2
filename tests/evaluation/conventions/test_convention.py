"""Metrics combine, samples are checked, and predictions find their samples by id."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.conventions import Scored, pair
from pave.evaluation.conventions.convention import check_samples, checked, macro_metric, mean_metric, ratio_metric
from pave.evaluation.conventions.pairing import references_of

from .samples import scored


def test_mean_and_ratio() -> None:
    assert mean_metric([1.0, 0.0, 1.0, 0.0]).value == 50.0
    assert ratio_metric([1.0, 0.0, 1.0], [1.0, 0.0, 1.0]).value == 100.0


def test_macro_weighs_groups_alike_and_a_resample_without_one_leaves_it_out() -> None:
    metric = macro_metric([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert metric.value == 50.0
    assert metric.combine(metric.rows[[0, 1]].sum(axis=0)) == 100.0


def test_nothing_to_divide_by_is_nan() -> None:
    assert math.isnan(ratio_metric([0.0], [0.0]).value)
    assert math.isnan(macro_metric([1.0], ["a"]).combine(np.zeros(2)))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "no samples"),
        ([scored("yes", "yes"), scored("no", "yes")], "'q' stands twice"),
        ([scored("yes")], "'q' has no reference"),
        ([scored("yes", " ")], "'q' has no reference"),
        ([Scored("q", "yes", "yes", {})], "'q' has no reference"),  # type: ignore[arg-type]
    ],
)
def test_samples_that_cannot_be_scored(samples: list[Scored], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_samples(samples)
    assert "\n" not in str(error.value)


def test_empty_predictions_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    score = checked(lambda samples: {"n": mean_metric([1.0 for _ in samples])})
    with caplog.at_level(logging.WARNING):
        score([scored(" \n", "yes", name="a"), scored("yes", "yes", name="b")])
    assert "1 of 2 predictions are empty" in caplog.text


def test_what_was_never_asked_is_no_empty_prediction(caplog: pytest.LogCaptureFixture) -> None:
    score = checked(lambda samples: {"n": mean_metric([1.0 for _ in samples])})
    with caplog.at_level(logging.WARNING):
        score([scored("", "yes", name="a", missing=["a.mp4"]), scored("yes", "yes", name="b", missing=[])])
    assert not caplog.text


RECORDS = [{"id": "a", "references": ["yes"], "category": "x"}, {"id": "b", "answer": "no"}]


def test_pairs_by_id_in_the_order_of_the_samples() -> None:
    first, second = pair(RECORDS, [("b", "No."), ("a", "")])
    assert (first.id, first.prediction, first.references, first.fields["category"]) == ("a", "", ("yes",), "x")
    assert (second.id, second.prediction, second.references) == ("b", "No.", ("no",))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([("a", "yes")], r"file\.jsonl: 1 of 2 samples have no prediction, first 'b'"),
        ([("a", "yes"), ("b", "no"), ("a", "no")], "id 'a' has two predictions"),
        ([("a", "yes"), ("b", "no"), ("c", "no")], "id 'c' is of no sample"),
        ([("a", None), ("b", "no")], "must be text"),
    ],
)
def test_predictions_that_do_not_fit(predictions: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        pair(RECORDS, predictions, "file.jsonl")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sample", [{"id": "a"}, {"id": "a", "references": []}, {"id": "a", "references": "yes"}])
def test_sample_without_reference(sample: dict[str, object]) -> None:
    with pytest.raises(InputError, match="'a': references is"):
        references_of(sample)


def test_every_convention_loads_under_its_name_and_states_its_source() -> None:
    for family in conventions.families():
        for name in conventions.names(family):
            convention = conventions.get(family, name)
            assert convention.name == name
            assert len(convention.source) > 10


def test_unknown_names_list_what_exists() -> None:
    with pytest.raises(InputError, match="known: .*scanqa.*did you mean 'scanqa'"):
        conventions.names("scanQA")
    with pytest.raises(InputError, match="known: pave-reference, leo, video3d, official; did you mean 'video3d'"):
        conventions.get("scanqa", "video-3d")


def test_group_is_the_category_unless_the_source_has_its_own() -> None:
    assert conventions.get("avqa", "pave").group(scored("A", "A", category="Where")) == "Where"
    assert conventions.get("avqa", "pave").group(scored("A", "A")) is None
    sample = scored("chair", "chair", question="Island or table?")
    assert conventions.get("sqa3d", "video3d").group(sample) == "is"
    assert conventions.get("sqa3d", "leo").group(sample) == "other"
    assert conventions.get("scanqa", "official").group(scored("1", "1", question="How many beds?")) == "Number"
