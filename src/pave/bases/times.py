"""Seconds of a video's steps, from the seconds of its frames or from what its processor says of the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pave.errors import InputError


def frame_times(given: Any, index: int) -> Tensor:
    """Return the seconds (F,) that are given for a video.

    Args:
        given: Seconds, or the video's metadata as processors of ``transformers`` return it (``return_metadata=True``):
            the numbers of the sampled frames, and frames a second.
        index: Number of the video, for error messages.

    Raises:
        InputError: If metadata lack the rate or the frames; none is ever assumed.
    """
    is_mapping = isinstance(given, Mapping)
    if not is_mapping and not hasattr(given, "frames_indices"):
        return torch.as_tensor(given, dtype=torch.float64)
    found = {name: given.get(name) if is_mapping else getattr(given, name) for name in ("fps", "frames_indices")}
    for name, value in found.items():
        if value is None:
            raise InputError(f"video_times_sec[{index}]: the video's metadata lack {name}; give seconds of its frames")
    return torch.as_tensor(found["frames_indices"], dtype=torch.float64) / float(found["fps"])


def mean_of_frames(times: Tensor, frames: Sequence[int]) -> Tensor:
    """Return the mean times (T,) of steps that each merge so many frames; a last step may lack some of its own.

    Times that are not one a frame are returned as they are: they may be one a step.
    """
    missing = sum(frames) - len(times)
    if not frames or times.ndim != 1 or len(times) == len(frames) or not 0 <= missing < frames[-1]:
        return times
    full = torch.cat([times, times[-1:].expand(missing)])
    return torch.stack([part.mean() for part in full.split(list(frames))])
