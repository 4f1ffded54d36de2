"""Rotary positions by index and by seconds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.patches.positions import grid_positions, index_rotation, rotate, time_rotation

LIKE = torch.zeros((), dtype=torch.float64)


def test_steps_are_spread_over_the_longer_side() -> None:
    positions = grid_positions(32, (1, 1), 70, (14, 14))
    assert positions[:7, 0].tolist() == [0, 2, 4, 6, 8, 11, 13]
    assert positions[-3:, 0].tolist() == [64, 66, 69]


@pytest.mark.parametrize(
    ("cells", "fine", "centres"),
    [
        (1, 14, [7]),
        (2, 14, [3, 10]),
        (4, 14, [1, 5, 8, 12]),
        (7, 14, [1, 3, 5, 7, 9, 11, 13]),
        (5, 5, [0, 1, 2, 3, 4]),
        (14, 24, [0, 2, 4, 6, 7, 9, 11, 12, 14, 16, 18, 19, 21, 23]),
    ],
)
def test_cells_sit_at_their_centres_on_the_finer_grid(cells: int, fine: int, centres: list[int]) -> None:
    positions = grid_positions(1, (cells, 1), 1, (fine, 1))
    assert positions[:, 1].tolist() == centres


def test_tokens_are_ordered_by_step_then_row_then_column() -> None:
    positions = grid_positions(2, (2, 3), 2, (2, 3))
    expected = [[step, row, column] for step in range(2) for row in range(2) for column in range(3)]
    assert positions.tolist() == expected


def test_a_head_of_128_turns_in_sections_of_16_24_and_24() -> None:
    for axis, section in enumerate((slice(0, 16), slice(16, 40), slice(40, 64))):
        position = np.zeros((1, 3), dtype=np.int64)
        position[0, axis] = 5
        rotation = index_rotation(position, 128, LIKE)
        angles = torch.atan2(rotation.sine, rotation.cosine)[0, 0]
        expected = torch.zeros(64, dtype=torch.float64)
        for j in range(section.start, section.stop):
            expected[j] = math.remainder(5 * 10000 ** (-2 * j / 128), 2 * math.pi)
        torch.testing.assert_close(angles, expected)


@given(st.sampled_from([2, 4, 6, 10, 16, 64]), st.integers(0, 50))
def test_any_even_head_keeps_its_length_and_turns_back(head_dim: int, step: int) -> None:
    heads = torch.randn(1, 3, head_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
    there = index_rotation(np.array([[step, 2, 3]]), head_dim, LIKE)
    turned = rotate(heads, there)
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))
    back = type(there)(there.cosine, -there.sine)
    torch.testing.assert_close(rotate(turned, back), heads)


@given(st.floats(0, 300), st.floats(0, 300), st.floats(-1000, 1000))
def test_products_depend_on_differences_of_seconds_only(query_sec: float, side_sec: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 32, dtype=torch.float64, generator=generator)
    own = np.zeros(1, dtype=np.int64)

    def product(*seconds: float) -> torch.Tensor:
        turns = [time_rotation(np.array([second]), own, 32, LIKE) for second in seconds]
        return (rotate(query, turns[0]) * rotate(key, turns[1])).sum()

    torch.testing.assert_close(
        product(query_sec, side_sec), product(query_sec + shift, side_sec + shift), atol=1e-8, rtol=0
    )


def test_periods_run_from_a_twentieth_of_a_second_to_a_thousand_seconds() -> None:
    step = np.zeros(1, dtype=np.int64)
    for channel, period_sec in ((0, 0.05), (63, 1000.0)):
        for turns, cosine in ((0.5, -1.0), (1.0, 1.0)):
            rotation = time_rotation(np.array([turns * period_sec]), step, 128, LIKE)
            assert rotation.cosine[0, 0, channel].item() == pytest.approx(cosine)


def test_tables_come_in_the_dtype_asked_for() -> None:
    like = torch.zeros((), dtype=torch.bfloat16)
    assert index_rotation(np.ones((2, 3), dtype=np.int64), 8, like).cosine.dtype is torch.bfloat16
