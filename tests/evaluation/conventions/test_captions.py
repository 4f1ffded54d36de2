"""Caption scores equal pycocoevalcap's own, and their rows add up to them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.conventions.captions import caption_metrics, overlap_metrics, per_sample, tokenised
from pave.evaluation.conventions.java import meteor_statistics, ptb_tokenise

from .samples import needs_java, several

PREDICTIONS = [
    "There is only one man on the couch.",
    "No, he doesn't leave the room!",
    "a silver laptop - I think",
    "yes",
    "",
    "two cats run (quickly) ... past a dog's bowl",
]
REFERENCES = [
    ["there is a man sitting on the couch", "there is only one man in the video ."],
    ["no , he does not leave the room"],
    ["the laptop is silver and black", "it looks like a silver laptop .", "a grey laptop"],
    ["yes"],
    ["a brown bag"],
    ["two cats are running fast past the bowl of a dog", "cats run"],
]


@needs_java
@pytest.mark.parametrize("ptb", [True, False])
def test_equal_to_pycocoevalcap(ptb: bool) -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    ours = {number: [{"caption": text}] for number, text in enumerate(PREDICTIONS)}
    theirs = {number: [{"caption": text} for text in of] for number, of in enumerate(REFERENCES)}
    if ptb:
        tokens = PTBTokenizer()
        ours, theirs = tokens.tokenize(ours), tokens.tokenize(theirs)
    else:
        ours = {number: [text] for number, text in enumerate(PREDICTIONS)}
        theirs = dict(enumerate(REFERENCES))
    metrics = caption_metrics(PREDICTIONS, REFERENCES, ptb)
    bleu, bleus = Bleu(4).compute_score(theirs, ours, verbose=0)
    for order in range(4):
        assert metrics[f"bleu{order + 1}"].value == pytest.approx(bleu[order], abs=1e-6)
        assert per_sample(metrics[f"bleu{order + 1}"]) == pytest.approx(np.array(bleus[order]), abs=1e-6)
    for name, scorer in (("meteor", Meteor()), ("rouge_l", Rouge()), ("cider", Cider())):
        value, values = scorer.compute_score(theirs, ours)
        assert metrics[name].value == pytest.approx(value, abs=1e-6)
        assert per_sample(metrics[name]) == pytest.approx(np.array(values), abs=1e-6)


WORD = st.sampled_from(["a", "dog", "cat", "runs", "the", "red"])
TEXT = st.lists(WORD, max_size=6).map(" ".join)
PAIRS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=6)


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_never_matters_scores_stay_in_range_and_rows_add_up(
    pairs: list[tuple[str, list[str]]], rng: random.Random
) -> None:
    metrics = overlap_metrics([text for text, _ in pairs], [of for _, of in pairs])
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    again = overlap_metrics([text for text, _ in shuffled], [of for _, of in shuffled])
    for name, metric in metrics.items():
        assert again[name].value == pytest.approx(metric.value, abs=1e-9)
        assert -1e-9 <= metric.value <= (10.0 if name == "cider" else 1.0) + 1e-6
        assert len(metric.rows) == len(pairs)
        assert metric.combine(metric.rows.sum(axis=0)) == pytest.approx(metric.value, abs=1e-9)


@needs_java
def test_a_bootstrap_of_bleu_and_meteor_is_of_the_corpus() -> None:
    metrics = caption_metrics(PREDICTIONS, REFERENCES)
    drawn = [0, 0, 2, 5, 5, 1]
    again = caption_metrics([PREDICTIONS[n] for n in drawn], [REFERENCES[n] for n in drawn])
    for name in ("bleu1", "bleu4", "meteor", "rouge_l"):
        resampled = metrics[name].combine(metrics[name].rows[drawn].sum(axis=0))
        assert resampled == pytest.approx(again[name].value, abs=1e-9)


@needs_java
def test_percent_is_a_hundred_times() -> None:
    plain, percent = (caption_metrics(PREDICTIONS, REFERENCES, unit=unit) for unit in (1.0, 100.0))
    for name in plain:
        assert percent[name].value == pytest.approx(100 * plain[name].value)
    assert list(plain) == ["bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider"]


@needs_java
def test_lines_bars_and_foreign_letters_do_not_shift_the_answers() -> None:
    texts = ["one\ntwo\r\nthree", "", "a ||| b", "naïve café\u2028no", "", ""]
    assert ptb_tokenise(texts) == ["one two three", "", "a | | | b", "naïve café no", "", ""]
    rows = meteor_statistics(texts, [["one two\nthree"], ["x"], ["a b"], ["cafe"], ["y"], ["z ||| z"]])
    assert rows[:, 0].tolist()[:3] == [3, 0, 2]
    assert tokenised(["A dog."], [["It's a dog", "No!"]]) == (["a dog"], [("it 's a dog", "no")])


def test_references_without_a_word_give_nothing() -> None:
    assert overlap_metrics(["a"], [["", " "]])["cider"].value == 0.0


def test_without_java_one_line_says_so_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    samples = several([("a dog", ["a dog"])])
    needing = [("scanqa", name) for name in conventions.names("scanqa")]
    needing += [("avsd", name) for name in conventions.names("avsd")]
    for family, name in needing:
        convention = conventions.get(family, name)
        with pytest.raises(InputError, match="need Java, and no 'java' is on PATH") as error:
            convention.check()
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match="need Java"):
            convention.score(samples)
    for family in set(conventions.families()) - {"scanqa", "avsd"}:
        for name in conventions.names(family):
            conventions.get(family, name).check()
