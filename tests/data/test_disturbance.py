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


def cameras(count: int = 3, moments: int = 10) -> SideChannel:
    """A signal of several cameras at each moment; its values tell the camera and the moment."""
    moment = torch.arange(moments).repeat_interleave(count)
    camera = torch.arange(count).repeat(moments)
    return SideChannel(torch.stack([camera, moment], dim=1).float()[:, None], moment + 0.5)


def test_steps_of_one_moment_stay_together() -> None:
    signal = cameras()
    halved = apply(signal, every=2)
    assert halved.steps == 15 and halved.times_sec.unique().tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    for found in (halved, apply(signal, uneven_sec=0.7), apply(signal, shift_sec=3.0), apply(signal, late_sec=2.0)):
        camera, moment = found.values[:, 0].T.reshape(2, -1, 3)
        assert (camera == torch.arange(3.0)).all() and (moment == moment[:, :1]).all()
    moved = apply(signal, shift_sec=3.0)
    assert torch.equal(moved.times_sec, signal.times_sec)
    assert moved.values[::3, 0, 1].tolist() == [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]
    uneven = apply(signal, uneven_sec=0.7)
    assert torch.allclose(uneven.values[:, 0, 1] + 0.5, uneven.times_sec.float()) and uneven.steps == signal.steps


def test_a_moment_that_a_camera_misses_takes_what_there_is() -> None:
    whole = cameras(2, 4)
    kept = torch.tensor([0, 1, 2, 4, 5, 6, 7])
    signal = SideChannel(whole.values[kept], whole.times_sec[kept])
    found = apply(signal, shift_sec=1.0).values[:, 0]
    assert found.tolist() == [[0, 3], [1, 3], [0, 0], [0, 1], [0, 1], [0, 2], [1, 2]]


@given(st.lists(st.integers(0, 200), max_size=30, unique=True), st.integers(-60, 60), st.integers(0, 3))
def test_the_nearest_moment_is_taken(ticks: list[int], shift: int, seed: int) -> None:
    """Against every pair of steps, for signals of one step a moment."""
    times_sec = np.sort(np.array(ticks, dtype=np.float64)) * 0.37
    signal = SideChannel(torch.arange(len(ticks)).float()[:, None], torch.from_numpy(times_sec))
    uneven = apply(signal, seed, uneven_sec=1.3)
    if len(ticks):
        off_sec = np.random.default_rng(seed).normal(0, 1.3, len(ticks))
        gaps = np.abs((times_sec + off_sec)[:, None] - times_sec[None])
        assert uneven.values[:, 0, 0].tolist() == np.sort(gaps.argmin(axis=1)).tolist()
    moved = apply(signal, shift_sec=shift * 0.21).values[:, 0, 0].long().numpy()
    if len(ticks) > 1:
        since_sec = times_sec - times_sec[0]
        length_sec = since_sec[-1] * len(ticks) / (len(ticks) - 1)
        by_sec = shift * 0.21 if abs(shift * 0.21) < length_sec else np.copysign(length_sec / 2, shift)
        gaps = np.abs((since_sec - by_sec)[:, None] - since_sec[None]) % length_sec
        gaps = np.minimum(gaps, length_sec - gaps)
        assert np.allclose(gaps[np.arange(len(ticks)), moved], gaps.min(axis=1), atol=1e-5)


def test_long_recordings_need_no_square_of_their_steps() -> None:
    signal = ramp(200_000, 0.25)
    assert apply(signal, uneven_sec=0.3, shift_sec=100.0).steps == 200_000


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
