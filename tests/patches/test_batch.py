"""What a patch refuses, in one line each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ragged_videos import QUERY_DIM, SIDE_DIM, tiny_config

from pave.errors import InputError
from pave.patches.batch import Video, check_batch, pack
from pave.types import SideChannel

QUERIES = torch.zeros(2, 4, QUERY_DIM)
SIDE = SideChannel(torch.zeros(3, SIDE_DIM), torch.arange(3.0))


@pytest.mark.parametrize(
    ("queries", "sides", "times", "grids", "message"),
    [
        ([QUERIES], [SIDE, None], [[0, 1]], None, "queries 1, sides 2, query_times_sec 1"),
        ([QUERIES], [SIDE], [[0, 1], [0, 1]], None, "queries 1, sides 1, query_times_sec 2"),
        ([QUERIES], [SIDE], [[0, 1]], [], "query_grids 0"),
        ([QUERIES[0]], [SIDE], [[0, 1]], None, r"video 0: queries have shape \(4, 7\)"),
        ([QUERIES.long()], [SIDE], [[0, 1]], None, "torch.int64"),
        ([QUERIES, QUERIES[:, :, 1:]], [SIDE, SIDE], [[0, 1]] * 2, None, "video 1: queries have width 6.*query_dim 7"),
        (
            [QUERIES],
            [SideChannel(torch.zeros(3, 9), torch.arange(3.0))],
            [[0, 1]],
            None,
            "'audio', video 0: the side channel has width 9.*side_dim 6",
        ),
        ([QUERIES], [SIDE], [[0, 1, 2]], None, r"query_times_sec: times_sec has shape \(3,\) for 2 steps"),
        ([QUERIES], [SIDE], [[1, 0]], None, "query_times_sec: times_sec goes back at step 1"),
        ([QUERIES], [SIDE], [[0, float("nan")]], None, "query_times_sec: times_sec holds NaN"),
        ([QUERIES], [SIDE], [[0, 1]], [(2, 3)], "query grid 2 x 3 does not hold 4 tokens"),
        ([QUERIES[:, :3]], [SIDE], [[0, 1]], None, "3 tokens a step are no square; give query_grids"),
    ],
)
def test_bad_input_is_refused_in_one_line(queries: Any, sides: Any, times: Any, grids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_batch(tiny_config(positions="rotary_3d"), queries, sides, times, grids)
    assert "\n" not in str(caught.value)


def test_only_rotary_3d_asks_for_a_grid() -> None:
    (video,) = check_batch(tiny_config(), [QUERIES[:, :3]], [SIDE], [[0, 1]], None)
    assert video.queries.shape[1] == 3


def test_times_may_be_lists_or_tensors() -> None:
    for times in ([0, 1], [0.0, 1.0], torch.arange(2), torch.arange(2, dtype=torch.float32)):
        (video,) = check_batch(tiny_config(), [QUERIES], [SIDE], [times], None)
        assert video.times_sec.tolist() == [0.0, 1.0]


def test_a_channel_without_steps_counts_as_absent() -> None:
    nothing = SideChannel(torch.zeros(0, 1, SIDE_DIM), torch.zeros(0))
    (video,) = check_batch(tiny_config(), [QUERIES], [nothing], [[0, 1]], None)
    assert video.side is None


def test_videos_are_packed_in_order_and_never_cut() -> None:
    sizes = [3, 4, 20, 1, 1, 9]
    videos = [Video(torch.zeros(size, 1, 1), None, torch.zeros(size).numpy(), (1, 1)) for size in sizes]
    runs = [[video.tokens for video in run] for run in pack(videos, lambda video: video.tokens, 8)]
    assert runs == [[3, 4], [20], [1, 1], [9]]


@pytest.mark.parametrize(("steps", "extent"), [(3, 8), (30, 30)])
def test_a_long_side_channel_counts_towards_what_goes_together(steps: int, extent: int) -> None:
    side = SideChannel(torch.zeros(steps, SIDE_DIM), torch.arange(steps))
    (video,) = check_batch(tiny_config(), [QUERIES], [side], [[0, 1]], None)
    assert (video.tokens, video.extent) == (8, extent)


def test_an_absent_side_channel_counts_nothing() -> None:
    (video,) = check_batch(tiny_config(), [QUERIES], [None], [[0, 1]], None)
    assert video.extent == 8
