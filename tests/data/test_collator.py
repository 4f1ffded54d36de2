"""Batches: padding on the right side, joined pixels, one side channel a video."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlavaOnevisionConfig, Qwen2VLConfig

from pave.bases import family_of
from pave.data.collator import Collator
from pave.data.features import Features, PreparedVideo
from pave.errors import InputError
from pave.types import VideoTokens
from tests.tiny import side_channel

FAMILY = family_of(LlavaOnevisionConfig())


def text(*ids: int) -> dict[str, torch.Tensor]:
    row = torch.tensor(ids)
    return {"input_ids": row, "attention_mask": torch.ones_like(row)}


def video(frames: int = 2) -> PreparedVideo:
    pixels = {"pixel_values_videos": torch.rand(1, frames, 3, 4, 4)}
    return PreparedVideo(pixels, np.arange(frames) * 0.5, (9,), text(9, 9))


def encoded() -> VideoTokens:
    return VideoTokens(torch.rand(2, 1, 3), None, torch.rand(0, 3), torch.arange(2).double(), (1, 1), -1)


def test_padding_stands_on_its_side() -> None:
    samples = [Features({**text(1, 2, 3), "labels": torch.tensor([-100, 2, 3])}), Features(text(4))]
    left, right = Collator(0, "left", FAMILY)(samples), Collator(0, "right", FAMILY)(samples)
    assert left["input_ids"].tolist() == [[1, 2, 3], [0, 0, 4]]
    assert left["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert right["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert right["labels"].tolist() == [[-100, 2, 3], [-100, -100, -100]]
    assert set(left) == {"input_ids", "attention_mask", "labels"}


def test_rows_of_text_have_no_video_entry() -> None:
    signal = side_channel(0)
    samples = [Features(text(1)), Features(text(2), video(), None, {"audio": signal}), Features(text(3), video())]
    batch = Collator(0, "left", FAMILY, ["audio"])(samples)
    assert batch["pixel_values_videos"].shape == (2, 2, 3, 4, 4)
    assert batch["side"] == {"audio": [signal, None]}
    assert [times.tolist() for times in batch["video_times_sec"]] == [[0.0, 0.5], [0.0, 0.5]]
    assert "videos" not in batch


def test_channels_that_nobody_reads_are_left_out() -> None:
    batch = Collator(0, "left", FAMILY, [])([Features(text(1), video(), None, {"audio": side_channel(0)})])
    assert batch["side"] == {}


def test_encoded_videos_go_along() -> None:
    first, second = encoded(), encoded()
    kept = PreparedVideo({}, np.arange(2), (9,), text(9))
    batch = Collator(0, "right", FAMILY)([Features(text(1), kept, first), Features(text(2), kept, second)])
    assert batch["videos"][0] is first and batch["videos"][1] is second
    with pytest.raises(InputError, match="only some videos of the batch are encoded"):
        Collator(0, "right", FAMILY)([Features(text(1), kept, first), Features(text(2), kept)])


def test_videos_of_other_frame_counts_are_listed() -> None:
    """As this family takes them."""
    short, long = video(2), video(3)
    batch = Collator(0, "left", FAMILY)([Features(text(1), short), Features(text(2), long)])
    assert batch["pixel_values_videos"] == [short.inputs["pixel_values_videos"], long.inputs["pixel_values_videos"]]


def test_videos_that_cannot_be_joined_are_refused() -> None:
    collate = Collator(0, "left", family_of(Qwen2VLConfig()))
    with pytest.raises(InputError, match="pixel_values_videos of one batch have the shapes .*sample as many frames"):
        collate([Features(text(1), video(2)), Features(text(2), video(3))])
