"""Side channels and samples: what is wrong with them is said at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pave import InputError, Sample, SideChannel

TIMES = [0.5, 1.5, 2.5]


def test_one_token_a_step_may_be_given_flat() -> None:
    side = SideChannel(torch.zeros(3, 8), torch.tensor(TIMES))
    assert (side.steps, side.tokens, side.width, side.grid) == (3, 1, 8, (1, 1))
    assert side.values.shape == (3, 1, 8)


def test_grid_is_a_square_if_it_can_be() -> None:
    assert SideChannel(torch.zeros(3, 9, 8), TIMES).grid == (3, 3)
    assert SideChannel(torch.zeros(3, 6, 8), TIMES).grid == (1, 6)
    assert SideChannel(torch.zeros(3, 6, 8), TIMES, grid=(2, 3)).grid == (2, 3)


def test_an_empty_channel_is_allowed() -> None:
    assert SideChannel(torch.zeros(0, 1, 8), torch.zeros(0)).steps == 0


def test_steps_of_the_same_moment_are_allowed() -> None:
    assert SideChannel(torch.zeros(3, 8), [1.0, 1.0, 2.0]).times_sec.tolist() == [1.0, 1.0, 2.0]


def test_times_are_plain_numbers_on_the_cpu() -> None:
    side = SideChannel(torch.zeros(2, 1, 3), torch.tensor([0.0, 1.0], requires_grad=True))
    assert not side.times_sec.requires_grad and side.times_sec.device.type == "cpu"
    assert side.times_sec.numpy().tolist() == [0.0, 1.0]


def test_moving_keeps_the_times() -> None:
    side = SideChannel(torch.zeros(3, 8), TIMES).to(dtype=torch.float16)
    assert side.values.dtype == torch.float16
    assert side.times_sec.dtype == torch.float64


NAN = torch.tensor([[1.0], [float("nan")], [1.0]])


@pytest.mark.parametrize(
    ("values", "times", "options", "message"),
    [
        ([[0.0]], [0.0], {}, r"must be a float tensor \(K,N,D\), not list"),
        (torch.zeros(3, 8, dtype=torch.int64), TIMES, {}, "not torch.int64"),
        (torch.zeros(3), TIMES, {}, r"shape \(3,\)"),
        (torch.zeros(3, 0, 8), TIMES, {}, "N and D must be at least 1"),
        (NAN, TIMES, {}, "NaN or infinity at step 1"),
        (torch.zeros(3, 8), [0.5, 1.5], {}, r"times_sec has shape \(2,\) for 3 steps"),
        (torch.zeros(3, 8), [0.5, 2.5, 1.5], {}, "goes back at step 2"),
        (torch.zeros(3, 8), [-0.5, 1.5, 2.5], {}, "negative time -0.5"),
        (torch.zeros(3, 8), [0.5, 1.5, float("nan")], {}, "times_sec holds NaN"),
        (torch.zeros(3, 6, 8), TIMES, {"grid": (2, 2)}, "grid 2 x 2 does not hold 6 tokens"),
    ],
)
def test_bad_side_channels(values: Any, times: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SideChannel(values, times, **options)
    assert "\n" not in str(caught.value)


def test_question_and_answer_of_a_sample() -> None:
    turns = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "a cube"}]
    assert (Sample("a", None, turns).question, Sample("a", None, turns).answer) == ("what?", "a cube")
    assert Sample("a", None, turns[:1]).answer is None
