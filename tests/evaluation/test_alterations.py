"""Each alteration does what its name says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.evaluation.alterations import noise, same_answer_donors, shifted, shuffled_donors, zeroed
from pave.types import Sample, SideChannel


def sample(number: int, clip: int, answer: str = "yes", **extra: object) -> Sample:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    path = Path(f"{clip}.mp4")
    return Sample(f"q{number}", path, turns, {"audio": path}, extra)


def ramp(steps: int, every_sec: float = 0.5) -> SideChannel:
    """A signal whose values tell their time."""
    times_sec = (torch.arange(steps) + 0.5) * every_sec
    return SideChannel(times_sec.float()[:, None], times_sec)


ASKED = sample(0, 0)


@pytest.mark.parametrize("by_sec", [-5, -2, -1, 1, 2, 5])
def test_a_later_signal_brings_earlier_values(by_sec: float) -> None:
    signal = ramp(24)
    moved = shifted(by_sec)(ASKED, signal)
    expected = (signal.times_sec - by_sec) % 12
    assert torch.allclose(moved.values[:, 0, 0].double(), expected)
    assert torch.equal(moved.times_sec, signal.times_sec)


@given(st.integers(2, 30), st.sampled_from([-5.0, -1.0, 2.0, 5.0]))
def test_a_shift_always_moves_something(steps: int, by_sec: float) -> None:
    signal = ramp(steps)
    moved = shifted(by_sec)(ASKED, signal)
    assert sorted(moved.values.flatten().tolist()) == sorted(signal.values.flatten().tolist())
    assert not torch.equal(moved.values, signal.values)


def test_one_step_cannot_be_moved() -> None:
    assert shifted(1)(ASKED, ramp(1)) == ramp(1) or torch.equal(shifted(1)(ASKED, ramp(1)).values, ramp(1).values)


def test_zeros_and_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(400, 3, 2, generator=generator) * torch.tensor([1.0, 5.0]) + torch.tensor([0.0, 30.0])
    signal = SideChannel(values, torch.arange(400))
    assert not zeroed(ASKED, signal).values.any()
    drawn = noise(0)(ASKED, signal)
    assert torch.equal(drawn.values, noise(0)(ASKED, signal).values)
    assert not torch.equal(drawn.values, noise(0)(sample(1, 0), signal).values)
    assert not torch.equal(drawn.values, noise(1)(ASKED, signal).values)
    for statistic in (torch.mean, torch.std):
        found, expected = (statistic(tensor, dim=(0, 1)) for tensor in (drawn.values, values))
        assert torch.allclose(found, expected, rtol=0.1, atol=0.2)


def test_shuffled_clips_are_others_and_of_one_clip_the_same() -> None:
    samples = [sample(number, number // 2, answer=str(number)) for number in range(10)]
    donors = shuffled_donors(samples, 0)
    assert set(donors) == {asked.id for asked in samples}
    assert all(donors[asked.id].video != asked.video for asked in samples)
    assert all(donors[f"q{number}"].video == donors[f"q{number + 1}"].video for number in range(0, 10, 2))
    assert len({donor.video for donor in donors.values()}) == 5
    assert shuffled_donors(samples[:2], 0) == {}


def test_donors_of_the_same_answer() -> None:
    samples = [sample(0, 0, "Red cube."), sample(1, 1, "red cube"), sample(2, 2, "bell"), sample(3, 0, "red cube")]
    donors = same_answer_donors(samples, 0)
    assert set(donors) == {"q0", "q1", "q3"}
    assert donors["q0"].id == donors["q3"].id == "q1" and donors["q1"].video == Path("0.mp4")


def test_samples_that_lack_media_give_and_take_nothing() -> None:
    lacking = Sample("q9", None, ASKED.messages, {"audio": None}, {"missing": ["9.mp4"]})
    samples = [sample(0, 0), sample(1, 1), lacking]
    for donors in (shuffled_donors(samples, 0), same_answer_donors(samples, 0)):
        assert set(donors) == {"q0", "q1"} and lacking not in donors.values()
