"""Tiny random video models of every supported family as folders with their processors; a tower that sees grey."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch import Tensor

from tests.encoders.models import save_random

SIDE = 32
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


def _videomae():
    config = transformers.VideoMAEConfig(**SMALL, image_size=SIDE, patch_size=8, num_frames=8, tubelet_size=2)
    return transformers.VideoMAEModel(config), transformers.VideoMAEVideoProcessor(**SIZES)


def _vjepa2():
    config = transformers.VJEPA2Config(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        pred_hidden_size=12,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        crop_size=SIDE,
        patch_size=8,
        frames_per_clip=8,
        tubelet_size=2,
    )
    return transformers.VJEPA2Model(config), transformers.VJEPA2VideoProcessor(crop_size=SIDE)


def _timesformer():
    config = transformers.TimesformerConfig(**SMALL, image_size=SIDE, patch_size=8, num_frames=4)
    return transformers.TimesformerModel(config), transformers.TimesformerVideoProcessor(**SIZES)


def _vivit():
    config = transformers.VivitConfig(**SMALL, image_size=SIDE, tubelet_size=[2, 8, 8], num_frames=8)
    return transformers.VivitModel(config), transformers.VivitVideoProcessor(**SIZES)


VIDEO_BUILDERS = {"timesformer": _timesformer, "videomae": _videomae, "vivit": _vivit, "vjepa2": _vjepa2}


def save_tiny_video_model(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of a family and its processor as a folder."""
    return save_random(VIDEO_BUILDERS[name], folder, seed)


class GreyTower:
    """A tower whose one feature is the mean grey of each quarter of a frame; tells what it was shown, and when."""

    width = 1
    grid = (2, 2)
    revision = "grey"

    def __init__(self) -> None:
        self.most = 0

    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        """Return features (T,2,2,1)."""
        self.most = max(self.most, len(frames))
        return torch.nn.functional.adaptive_avg_pool2d(frames.float().mean(1), 2).unsqueeze(-1)
