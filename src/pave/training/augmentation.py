"""Hidden video tokens: what training does to its samples so that a patch must use its channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pave.model import PaveModel
from pave.types import VideoTokens


def hide_video(model: PaveModel, inputs: Mapping[str, Any], share: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return a batch with so large a share of its video tokens hidden; pixels are encoded first.

    Args:
        model: The model that the batch is for.
        inputs: The batch.
        share: From 0 to 1.
        rng: Where it is drawn from.
    """
    videos = inputs.get("videos")
    if videos is None:
        if inputs.get(model.family.pixels) is None:
            return dict(inputs)
        videos = model.encode_videos(inputs, inputs.get("video_times_sec"))
    rest = {name: value for name, value in inputs.items() if name != model.family.pixels}
    return {**rest, "videos": [hidden(video, share, rng) for video in videos]}


def hidden(video: VideoTokens, share: float, rng: np.random.Generator) -> VideoTokens:
    """Return a video with the mean of its tokens in place of a share of them; patches ask with what was there."""
    tokens = video.tokens
    places = torch.from_numpy(rng.random(tokens.shape[:2]) < share).to(tokens.device)
    mean = tokens.mean(dim=(0, 1))
    return replace(video, tokens=torch.where(places.unsqueeze(-1), mean, tokens), asked=video.queries("projected"))
