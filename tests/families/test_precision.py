"""A base of a short float type takes what its processor makes: pixels of float32, which not every tower casts."""

from __future__ import annotations

import pytest
import torch

from pave import PaveModel
from pave.bases.family import cast_pixels
from tests.families.tiny import NAMES, batch, make_base, rows


@pytest.mark.parametrize("name", NAMES)
def test_videos_are_encoded_in_bf16(name: str) -> None:
    model = PaveModel.from_base(make_base(name).bfloat16())
    inputs = batch(rows(name))
    assert inputs[model.family.pixels].dtype == torch.float32
    videos = model.encode_videos(inputs)
    assert videos and all(video.tokens.dtype == torch.bfloat16 for video in videos)


def test_only_pixels_are_cast() -> None:
    inputs = {"pixel_values_videos": torch.zeros(1), "second_per_grid_ts": torch.tensor([1 / 3]), "input_ids": [1]}
    cast = cast_pixels(inputs, torch.bfloat16)
    assert cast["pixel_values_videos"].dtype == torch.bfloat16
    assert cast["second_per_grid_ts"] is inputs["second_per_grid_ts"] and cast["input_ids"] == [1]
