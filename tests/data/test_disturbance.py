"""Disturbed side channels: where steps lie afterwards, what stays true, and that draws repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.data.disturbance import Disturbance, Disturber
from pave.errors import InputError
from pave.types import Sample, SideChannel


def ramp(steps: int = 40, every_sec: float = 0.25) -> SideChannel:
    """A signal whose values tell their time."""
    times_sec = (torch.arange(steps) + 0.5) * every_sec
    return SideChannel(times_sec.float()[:, None], times_sec)


def apply(signal: SideChannel, seed: int = 0, **fields: float) -> SideChannel:
    return Disturbance(**fields).apply(signal, np.random.default_rng(seed))  # type: ignore[arg-type]


def told_sec(signal: SideChannel) -> torch.Tensor:
    return signal.values[:, 0, 0].double()


def test_by_default_nothing_changes() -> None:
    signal = ramp()
    found = apply(signal)
    assert torch.equal(found.values, signal.values) and torch.equal(found.times_sec, signal.times_sec)


TRUE = st.fixed_dictionaries(
    {
        "every": st.integers(1, 5),
        "uneven_sec": st.sampled_from([0.0, 0.3, 2.0]),
        "keep": st.sampled_from([1.0, 0.5, 0.01]),
        "late_sec": st.sampled_from([0.0, 1.0, -2.0, 100.0, -100.0]),
    }
)


@given(TRUE, st.integers(0, 30), st.integers(0, 5))
def test_steps_that_are_left_are_at_their_true_times(fields: dict[str, float], steps: int, seed: int) -> None:
    found = apply(ramp(steps), seed, **fields)
    assert torch.allclose(told_sec(found), found.times_sec)
    assert found.steps <= steps


def test_each_does_what_it_says() -> None:
    signal = ramp()
    assert told_sec(apply(signal, every=4)).tolist() == told_sec(signal)[1::4].tolist()
    assert apply(signal, keep=0.25).steps == 10
    assert apply(signal, keep=0.001).steps == 1
    late, early = apply(signal, late_sec=2.0), apply(signal, late_sec=-2.0)
    assert late.times_sec.min() >= 2 and late.times_sec.max() == signal.times_sec.max() and late.steps == 32
    assert early.times_sec.min() == signal.times_sec.min() and early.steps == 32
    uneven = apply(signal, uneven_sec=0.5)
    assert uneven.steps == 40 and len(uneven.times_sec.unique()) < 40


def test_wrong_times_and_moved_values() -> None:
    signal = ramp(400)
    found = apply(signal, jitter_sec=0.2)
    errors = (found.times_sec - told_sec(found))[20:]
    assert errors.std().item() == pytest.approx(0.2, rel=0.15) and abs(errors.mean().item()) < 0.05
    assert sorted(told_sec(found).tolist()) == told_sec(signal).tolist()
    moved = apply(signal, shift_sec=10.0)
    assert torch.equal(moved.times_sec, signal.times_sec)
    assert torch.allclose(told_sec(moved), (signal.times_sec - 10) % 100)


SAMPLE = Sample("q0", None, [], {"audio": Path("a")})


def test_an_evaluation_draws_the_same_for_a_sample_and_a_training_for_a_use() -> None:
    def times(training: bool, draw: int, sample: Sample = SAMPLE, channel: str = "audio") -> list[float]:
        disturber = Disturber(Disturbance(uneven_sec=1.0, late_sec=3.0), 5, training)
        found: list[float] = disturber(channel, ramp(), sample, draw).times_sec.tolist()
        return found

    other = Sample("q1", None, [])
    assert times(False, 0) == times(False, 7) and times(False, 0) != times(False, 0, other)
    assert times(True, 3) == times(True, 3, other) and times(True, 3) != times(True, 4)
    assert times(True, 3) != times(True, 3, channel="depth")
    assert all(min(times(False, draw)) > 3 for draw in range(3))
    starts = [min(times(True, draw)) for draw in range(40)]
    assert sum(start < 0.5 for start in starts) > 8 and max(starts) > 1.5


def test_text_on_the_command_line() -> None:
    assert Disturbance.parse("keep=0.25, every=4,late_sec=-1") == Disturbance(every=4, keep=0.25, late_sec=-1.0)
    for text, message in {
        "kept=0.25": "write name=value with names of every, uneven_sec",
        "keep": "write name=value",
        "every=0.5": "every is '0.5'; give a number",
        "keep=0": "keep is 0.0; it must be above 0",
        "every=0": "every is 0; it must be at least 1",
        "jitter_sec=-1": "jitter_sec is -1.0; it must be 0 or more seconds",
        "shift_sec=nan": "shift_sec is nan; give seconds",
    }.items():
        with pytest.raises(InputError, match=message):
            Disturbance.parse(text)
