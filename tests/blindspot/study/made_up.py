"""Results that were never run, for tests of tables and pages: every number in them is set by the test."""

from __future__ import annotations

from typing import Any

import numpy as np

from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Run

QUESTIONS, A_FILM = 80, 4


def write_result(results: Results, run: Run, rate: float, seed: int = 0, **cost: float) -> dict[str, Any]:
    """Write a result in which a run is right in so many of its answers, and return it."""
    rng = np.random.default_rng(seed)
    scores = {}
    for evaluation in run.evaluate:
        right = rng.permutation(np.arange(QUESTIONS) < round(rate * QUESTIONS))
        scores[evaluation.name] = {
            "accuracy": float(right.mean()),
            "interval": [0.0, 1.0],
            "n": QUESTIONS,
            "chance": 0.25,
            "correct": "".join(str(int(one)) for one in right),
            "clips": [number // A_FILM for number in range(QUESTIONS)],
        }
    usual = {"flops": 10e6, "encoder_flops": 1e6, "language_model_flops": 5e6, "prompt_tokens": 40.0}
    content = {
        "trained": None if run.train is None else {"steps": 72, "seconds_a_step": 0.25},
        "scores": scores,
        "cost": {**usual, **cost, "trained_weights": {"patch": 100, "lora": 1000}},
    }
    results.write(run, content)
    found = results.find(run)
    assert found is not None
    return found
