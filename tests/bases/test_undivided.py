"""Where inputs do not say which frames are whose: times tell, or rows, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pave.bases.undivided import Step, UndividedFamily
from pave.errors import InputError

PLACE = 7


class Listed(UndividedFamily):
    """Takes its steps from a list of frames a step."""

    placeholder = "place"

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        return [Step(frames, (1, 2)) for frames in inputs["frames"]]


FAMILY = Listed(SimpleNamespace(place=PLACE, model_type="listed"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "counts", "steps"),
    [
        ([1, 1, 1], [2, 1], [2, 1]),
        ([4, 4, 2, 4, 1], [10, 5], [3, 2]),
        ([4, 4, 2, 4, 1], [3, 2], [3, 2]),
        ([2, 2, 2], [2, 1], [2, 1]),
    ],
)
def test_times_divide(frames: list[int], counts: list[int], steps: list[int]) -> None:
    times = [torch.arange(float(count)) for count in counts]
    assert [count for count, _ in FAMILY.shapes({"frames": frames}, times)] == steps


@pytest.mark.parametrize("counts", [[1], [3], [5], [3, 0], [], [1, 3]])
def test_times_that_do_not_fit(counts: list[int]) -> None:
    with pytest.raises(
        InputError, match=r"video_times_sec has the times of \[.*\] frames, but the inputs hold 2 steps"
    ):
        FAMILY.shapes({"frames": [2, 2]}, [torch.arange(float(count)) for count in counts])


def test_rows_divide_where_nobody_knows_the_times() -> None:
    ids = torch.tensor([[PLACE] * 4 + [0] * 2, [0] * 6, [0, *[PLACE] * 2, 0, 0, 0]])
    assert FAMILY.shapes({"frames": [1, 1, 1], "input_ids": ids}) == [(2, (1, 2)), (1, (1, 2))]
    with pytest.raises(InputError, match="which 2 steps of the video do not fill"):
        FAMILY.shapes({"frames": [1, 1], "input_ids": ids})
