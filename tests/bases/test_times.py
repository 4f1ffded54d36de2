"""Seconds of steps: from seconds of frames, or from metadata, and from nothing else."""

from __future__ import annotations

import pytest
import torch
from transformers.video_utils import VideoMetadata

from pave.bases.times import frame_times, mean_of_frames
from pave.errors import InputError


def test_metadata_of_a_processor() -> None:
    metadata = VideoMetadata(total_num_frames=90, fps=30, frames_indices=[0, 15, 60])
    assert frame_times(metadata, 0).tolist() == [0.0, 0.5, 2.0]


@pytest.mark.parametrize(
    ("metadata", "lacks"),
    [
        (VideoMetadata(total_num_frames=90, frames_indices=[0, 1]), "fps"),
        (VideoMetadata(total_num_frames=90, fps=30), "frames_indices"),
        ({"fps": 30}, "frames_indices"),
    ],
)
def test_no_rate_is_assumed(metadata: object, lacks: str) -> None:
    with pytest.raises(InputError, match=rf"video_times_sec\[2\]: the video's metadata lack {lacks}"):
        frame_times(metadata, 2)


def test_means_over_chunks_of_other_lengths() -> None:
    times = torch.tensor([0.0, 1.0, 2.0, 3.0, 8.0], dtype=torch.float64)
    assert mean_of_frames(times, [2, 3]).tolist() == [0.5, 13 / 3]
    assert mean_of_frames(times[:4], [2, 3]).tolist() == [0.5, 8 / 3]
    assert mean_of_frames(times[:2], [2, 3]).tolist() == [0.0, 1.0]
    assert mean_of_frames(times[:1], [2, 3]).tolist() == [0.0]
