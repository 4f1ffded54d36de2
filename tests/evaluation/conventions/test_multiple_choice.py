"""Multiple-choice sets: which letter is right, and what is divided by what."""

from __future__ import annotations

import pytest

from pave.errors import InputError
from pave.evaluation.conventions import Scored, get, names
from pave.evaluation.conventions.multiple_choice import choices_of, lettered_answer, right_letter
from pave.evaluation.conventions.vsi_bench import any_number, first_number, relative_accuracy

from .samples import scored

CHOICES = ["Yes", "No", "Maybe"]


def answered(texts: list[str], reference: str = "A", **fields: object) -> list[Scored]:
    fields = {"choices": CHOICES, **fields}
    return [Scored(str(number), text, (reference,), fields) for number, text in enumerate(texts)]


def test_the_right_letter_is_that_of_the_text_or_the_letter_itself() -> None:
    assert right_letter(scored("", "No", choices=CHOICES)) == "B"
    assert right_letter(scored("", "C", choices=CHOICES)) == "C"
    assert right_letter(scored("", "D", choices=CHOICES)) == "@"
    twice = scored("", "x", choices=["x", "y", "x"])
    assert (right_letter(twice), right_letter(twice, last=True)) == ("A", "C")


def test_a_letter_is_a_letter_though_a_choice_reads_the_same() -> None:
    for letter, text in zip("ABC", ("C", "A", "B"), strict=True):
        asked = scored("", letter, choices=["C", "A", "B"])
        assert right_letter(asked) == right_letter(asked, last=True) == letter
        assert lettered_answer(asked) == f"({letter}) {text}"
    assert lettered_answer(scored("", "none of these", choices=CHOICES)) == "(@) none of these"


LETTERED = [(name, convention) for name in ("avqa", "video-mme", "mvbench", "mlvu") for convention in names(name)]


@pytest.mark.parametrize(("name", "convention"), LETTERED)
def test_choices_that_are_letters_themselves(name: str, convention: str) -> None:
    fields = {"choices": ["B", "A", "D", "C"], "category": "x"}
    samples = [Scored(letter, f"({letter})", (letter,), fields) for letter in "ABCD"]
    score = get(name, convention).score
    assert next(iter(score(samples).values())).value == 100
    bare = [Scored(sample.id, sample.id, sample.references, fields) for sample in samples]
    assert next(iter(score(bare).values())).value == 100
    others = dict(zip("ABCD", "BADC", strict=True))
    wrong = [Scored(sample.id, others[sample.id], sample.references, fields) for sample in samples]
    assert next(iter(score(wrong).values())).value == 0


@pytest.mark.parametrize("choices", [None, [], "A", [1, 2]])
def test_a_sample_without_choices(choices: object) -> None:
    with pytest.raises(InputError, match="'q': choices is"):
        choices_of(scored("A", "A", choices=choices))


def test_video_mme_leaves_the_unread_out_of_its_own_denominator_only() -> None:
    samples = answered(["A", "I do not know", "", "B"])
    official = {name: metric.value for name, metric in get("video-mme", "official").score(samples).items()}
    assert official == {"accuracy": 50.0, "accuracy_all": 25.0, "answered": 50.0}
    for name in ("lmms-eval-0.3", "lmms-eval-0.7", "vlmevalkit", "reference", "pave"):
        found = {key: metric.value for key, metric in get("video-mme", name).score(samples).items()}
        assert found == {"accuracy": 25.0, "answered": 50.0}


def test_video_mme_conventions_differ() -> None:
    samples = answered(["Answer: B", "Not A, but B"], "B", choices=["w", "x", "y", "z"])
    names = ("lmms-eval-0.3", "official", "lmms-eval-0.7", "pave")
    assert [get("video-mme", name).score(samples)["accuracy"].value for name in names] == [0.0, 50.0, 100.0, 100.0]


def test_mvbench_counts_spoken_answers_and_averages_tasks() -> None:
    samples = [
        Scored("a", "(A)", ("Yes",), {"choices": CHOICES, "category": "Action Count"}),
        Scored("b", "", ("Yes",), {"choices": CHOICES, "category": "Action Count"}),
        Scored("c", "B", ("Yes",), {"choices": CHOICES, "category": "State Change"}),
    ]
    found = {name: metric.value for name, metric in get("mvbench", "lmms-eval").score(samples).items()}
    assert found == {"accuracy": 50.0, "accuracy_all": pytest.approx(100 / 3), "task_mean": 25.0}


@pytest.mark.parametrize("name", ["official", "vlmevalkit"])
def test_mvbench_empty_answers_are_wrong_though_their_source_takes_them(name: str) -> None:
    assert get("mvbench", name).score(answered(["", "A"]))["accuracy"].value == 50.0
    assert get("mvbench", name).score(answered([")", "B"]))["accuracy"].value == 50.0


def test_mlvu_has_two_averages_and_each_source_its_own_first() -> None:
    samples = [
        *answered(["A", "A", "A", "B"], category="plotQA"),
        Scored("x", "A)", ("Yes",), {"choices": CHOICES, "category": "count"}),
    ]
    for name, first in (("official", "m_avg"), ("lmms-eval-0.7", "m_avg"), ("reference", "accuracy")):
        metrics = get("mlvu", name).score(samples)
        assert next(iter(metrics)) == first
        assert (metrics["m_avg"].value, metrics["accuracy"].value) == (87.5, 80.0)


def test_mlvu_answer_that_is_no_choice() -> None:
    samples = [Scored("needle", "@", ("flying a drone",), {"choices": CHOICES, "category": "needle"})]
    assert get("mlvu", "official").score(samples)["m_avg"].value == 100.0
    assert get("mlvu", "pave").score(samples)["m_avg"].value == 0.0


def test_vsi_bench_averages_the_levels_of_direction_first() -> None:
    kinds = [("easy", "A"), ("easy", "A"), ("medium", "B"), ("hard", "B")]
    samples = [
        Scored(str(number), text, ("A",), {"category": f"object_rel_direction_{level}"})
        for number, (level, text) in enumerate(kinds)
    ]
    samples.append(Scored("n", "about 4", ("4",), {"category": "object_counting"}))
    assert get("vsi-bench", "official").score(samples)["overall"].value == pytest.approx((100 / 3 + 0) / 2)
    assert get("vsi-bench", "lmms-eval").score(samples)["overall"].value == pytest.approx((100 / 3 + 100) / 2)


def test_vsi_bench_samples_that_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="needs a number other than 0"):
        get("vsi-bench", "official").score([Scored("n", "4", ("none",), {"category": "object_counting"})])
    with pytest.raises(InputError, match="category is None"):
        get("vsi-bench", "official").score([Scored("n", "4", ("4",), {})])


@pytest.mark.parametrize(
    ("text", "first", "anywhere"),
    [
        ("4.0 meters", 4.0, 4.0),
        ("about -2.5", None, -2.5),
        ("twenty-one", None, 21.0),
        ("three hundred and five boxes", None, 305.0),
        ("two thousand", None, 2000.0),
        ("one apple, room 2", None, 1.0),
        ("room 2, one apple", None, 2.0),
        ("none", None, None),
        ("", None, None),
    ],
)
def test_numbers(text: str, first: float | None, anywhere: float | None) -> None:
    assert first_number(text) == first
    assert any_number(text) == anywhere


def test_relative_accuracy() -> None:
    assert relative_accuracy(4.0, 4.0) == 1.0
    assert relative_accuracy(3.0, 4.0) == pytest.approx(0.6)
    assert relative_accuracy(None, 4.0) == 0.0
