"""What the tracks share: options in random order, forms interleaved."""

from __future__ import annotations

import numpy as np

from pave.blindspot.questions.question import Question, either, interleave, pick


def test_options_come_in_either_order_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    texts = [either("{a} or {b}?", "bell", "drum", rng) for _ in range(400)]
    assert set(texts) == {"bell or drum?", "drum or bell?"}
    assert 150 < texts.count("bell or drum?") < 250


def test_every_form_comes_once_before_any_comes_twice() -> None:
    questions = [
        Question(form, f"{form}{k}", "yes", 0.5)
        for form, count in (("a", 5), ("b", 2), ("c", 1))
        for k in range(count)
    ]
    ordered = interleave(questions, np.random.default_rng(1))
    assert sorted(q.text for q in ordered) == sorted(q.text for q in questions)
    assert {q.form for q in ordered[:3]} == {"a", "b", "c"}
    assert {q.form for q in ordered[3:5]} == {"a", "b"}


def test_pick_reaches_every_option() -> None:
    rng = np.random.default_rng(0)
    assert {pick(("x", "y", "z"), rng) for _ in range(60)} == {"x", "y", "z"}
