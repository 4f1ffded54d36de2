"""LanguageBind-Video as an encoder: clips of eight frames, two frames a second, as the reference extracts them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from pave.encoders.base import side_channel_of
from pave.encoders.languagebind_model import CLIP_FRAMES, open_tower
from pave.encoders.published import PublishedConfig, PublishedEncoder, batches, count_flops
from pave.encoders.published_clip import hidden_states
from pave.errors import InputError
from pave.media.probe import probe
from pave.media.reference_frames import evenly_numbered, frame_times_sec
from pave.media.video import frames_at
from pave.types import SideChannel

FRAMES_A_SECOND = 2.0
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, by colour."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LanguageBindConfig(PublishedConfig):
    """Settings of the LanguageBind encoder, with those of :class:`PublishedConfig`; defaults are the reference's.

    Args:
        weights: File, folder or hub id: ``LanguageBind/LanguageBind_Video_merge``, or Video-LLaVA, which holds it.
        heads: Attention heads; by default as in the ``config.json`` beside the weights, else 16.
        grid: Rows, and columns, of the tokens that a frame's patches are averaged to.
        batch_size: Clips of 8 frames that go through the tower at once.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "languagebind"
    heads: int | None = None
    grid: int = 2
    batch_size: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("heads", "grid"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"languagebind: {name} is {value}; it must be at least 1")


class LanguageBindEncoder(PublishedEncoder[LanguageBindConfig]):
    """A video's frames through LanguageBind's video tower: a grid of tokens a frame (K,4,1024), K a multiple of 8.

    A step's time is its frame's. The class token, which the reference stores first and leaves out in training, is not
    among the tokens.
    """

    config_class = LanguageBindConfig
    weights_licence = "LanguageBind-Video: MIT, as its repository has it"

    def _outline(self) -> nn.Module:
        self._tower = open_tower(self.config.weights, self.config.revision, self.config.heads)
        if self.config.grid > self._tower.rows:
            raise InputError(
                f"languagebind: grid is {self.config.grid}; a frame has {self._tower.rows} rows of patches"
            )
        return self._tower.outline

    def _load(self) -> nn.Module:
        return self._tower.load()

    @property
    def width(self) -> int:
        """Feature width D."""
        return self._tower.width

    @property
    def tokens(self) -> int:
        """Tokens a step N."""
        return self.config.grid**2

    @cached_property
    def revision(self) -> str:
        """What identifies the weights, and what their shapes do not tell."""
        return self._tower.identity

    def flops(self, duration_sec: float) -> int:
        """Return the tower's floating-point operations for ``duration_sec`` of video, counted on one clip."""
        side = self._tower.image_size
        return count_clips(duration_sec) * count_flops(self.outline, (CLIP_FRAMES, 3, side, side))

    def encode(self, path: Path) -> SideChannel:
        """Return the side channel (K,N,D) of a video.

        Holds the frames of one batch of clips, however long the video.

        Raises:
            InputError: If the file is missing, damaged or no video, or the tower gives NaN for it.
        """
        path = Path(path)
        info = probe(path)
        all_sec = frame_times_sec(path)
        clips = count_clips(len(all_sec) / info.frame_rate)
        chosen_sec = all_sec[evenly_numbered(len(all_sec), CLIP_FRAMES * clips)]
        parts = batches(np.split(chosen_sec, clips), self.config.batch_size)
        values = torch.cat([self._features(path, np.concatenate(part)) for part in parts])
        times_sec = torch.from_numpy(chosen_sec) + self.config.offset_sec
        shown = times_sec >= 0
        if not shown.all():
            logger.info("%s: %d frames lie before the picture's start and are left out", path, int((~shown).sum()))
        grid = (self.config.grid, self.config.grid)
        return side_channel_of(path, values[shown], times_sec[shown], grid)

    def _features(self, path: Path, times_sec: np.ndarray) -> Tensor:
        pixels = clip_pixels(torch.from_numpy(frames_at(path, times_sec).pixels), self._tower.image_size)
        tokens = self.run(hidden_states, pixels)
        return pooled(tokens, self.config.grid)[:, 1:]


def count_clips(duration_sec: float) -> int:
    """Return the number of clips of 8 frames: all that two frames a second fill, at least one."""
    return max(1, int(FRAMES_A_SECOND * duration_sec // CLIP_FRAMES))


def clip_pixels(frames: Tensor, side: int) -> Tensor:
    """Return normalised pixels (F,3,side,side) of frames uint8 (F,H,W,3): short side scaled, middle kept.

    Neighbouring pixels are blended without regard to how far a frame is scaled down, as the tower was trained.
    """
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_DEVIATION))
    pixels = (frames.permute(0, 3, 1, 2) / 255 - mean) / deviation
    height, width = pixels.shape[2:]
    size = (int(height / width * side), side) if width < height else (side, int(width / height * side))
    pixels = interpolate(pixels, size=size, mode="bilinear", align_corners=False)
    top, left = (round((length - side) / 2) for length in size)
    return pixels[:, :, top : top + side, left : left + side]


def pooled(tokens: Tensor, grid: int) -> Tensor:
    """Return the class token and the mean patches of a grid (F, 1 + grid x grid, D) of tokens (F,1+P,D)."""
    rows = round((tokens.shape[1] - 1) ** 0.5)
    patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, rows))
    means = adaptive_avg_pool2d(patches, grid).flatten(2).transpose(1, 2)
    return torch.cat([tokens[:, :1], means], dim=1)
