"""What a family knows: where videos lie in a batch, their times, and the containers that a base expects."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave import InputError
from pave.bases import family_of
from pave.bases.family import Family, check_seam, unplaced
from pave.types import VideoTokens
from tests.tiny import VIDEO, make_model

C = 32
CONFIG = make_model("llava_onevision").config


@pytest.fixture(scope="module")
def llava() -> Family:
    return family_of(CONFIG)


@pytest.fixture(scope="module")
def qwen() -> Family:
    return family_of(make_model("qwen2_5_vl").config)


def video(steps: int, rows: int = 2, columns: int = 2, tail: int = 1) -> VideoTokens:
    tokens = torch.arange(steps * rows * columns * C, dtype=torch.float32).view(steps, rows * columns, C)
    return unplaced(tokens, None, -torch.ones(tail, C), (rows, columns))


def test_native_layout_ends_with_one_newline(llava: Family) -> None:
    joined = llava.join([video(3)], "native")
    assert joined.shape == (1, llava.token_count(3, (2, 2), "native"), C)
    assert torch.equal(joined[0, :-1], video(3).tokens.flatten(0, 1))
    assert torch.equal(joined[0, -1], -torch.ones(C))


def test_grid_layout_ends_every_row_with_one(llava: Family) -> None:
    joined = llava.join([video(3)], "grid")
    assert joined.shape == (1, llava.token_count(3, (2, 2), "grid"), C)
    rows = joined.view(6, 3, C)
    assert torch.equal(rows[:, :2].reshape(3, 4, C), video(3).tokens)
    assert torch.equal(rows[:, 2], -torch.ones(6, C))


def test_videos_of_different_lengths_lie_one_after_the_other(llava: Family) -> None:
    assert llava.join([video(3), video(3)], "native").shape == (2, 13, C)
    joined = llava.join([video(3), video(2)], "native")
    both = [llava.join([video(steps)], "native")[0] for steps in (3, 2)]
    assert torch.equal(joined.flatten(0, 1), torch.cat(both))


def test_qwen_gets_one_entry_a_video(qwen: Family) -> None:
    joined = qwen.join([video(3, tail=0), video(2, rows=1, tail=0)], "native")
    assert [tokens.shape for tokens in joined] == [(12, C), (4, C)]


@given(st.lists(st.lists(st.integers(1, 4), max_size=3), min_size=1, max_size=5))
def test_videos_are_found_in_their_rows(rows: list[list[int]]) -> None:
    family = family_of(CONFIG)
    counts = [[family.token_count(steps, (2, 2), "native") for steps in row] for row in rows]
    width = max(sum(row) for row in counts) + 1
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for row, count in enumerate(counts):
        ids[row, : sum(count)] = VIDEO
    videos = [video(steps) for row in rows for steps in row]
    placed = family.place(videos, ids, "native")
    assert [entry.row for entry in placed] == [index for index, row in enumerate(rows) for _ in row]


def test_placeholders_that_do_not_fit(llava: Family) -> None:
    ids = torch.full((1, 12), VIDEO)
    with pytest.raises(InputError, match=r"hold \[12\] video placeholders a row, but the videos .* take \[13\]"):
        llava.place([video(3)], ids, "native")


def test_times_of_merged_frames(qwen: Family) -> None:
    assert qwen.step_times([0.0, 1.0, 3.0, 5.0], 2, 0).tolist() == [0.5, 4.0]
    assert qwen.step_times([0.0, 1.0, 3.0], 2, 0).tolist() == [0.5, 3.0]
    assert qwen.step_times([0.5, 4.0], 2, 0).tolist() == [0.5, 4.0]
    with pytest.raises(InputError, match=r"video_times_sec\[1\]: times_sec has shape \(5,\) for 2 steps"):
        qwen.step_times([0.0, 1.0, 2.0, 3.0, 4.0], 2, 1)


def test_a_base_without_the_seam_is_told_the_version() -> None:
    class Old:
        def forward(self, input_ids: object) -> None: ...

    with pytest.raises(InputError, match="Old.forward takes no mm_encoder_outputs; install transformers>=5.18"):
        check_seam(Old)
