"""The same video at a high frame rate: through the base's own tower, or a pretrained video model in overlapping clips.

This is the side channel ``frames``: the base looks at few frames closely, and the patch sees many of them coarsely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pave.config import check_choices
from pave.encoders.base import Encoder, side_channel_of
from pave.encoders.clip_model import ClipModel
from pave.encoders.frame_steps import batches_of_frames, every_frame, steps_at
from pave.encoders.pretrained import Pretrained, check_device, device_of
from pave.encoders.tower import averaged, flops_a_frame
from pave.errors import InputError
from pave.types import SideChannel


@dataclass(frozen=True)
class FramesConfig:
    """Settings of the frames encoder.

    Args:
        type: Name in the encoder registry.
        model: Hub id or folder of a VideoMAE, V-JEPA 2, TimeSformer or ViViT with its video processor; by default the
            base's own tower.
        revision: Branch, tag or commit on the hub.
        frame_rate: Frames a second; ``None`` takes every frame that there is.
        grid: Rows and columns of the tokens of a step, to which the features of its frame, or of the frames that the
            model joins, are averaged.
        overlap: Share of a clip that the next one repeats; of a video model only.
        dtype: Of features, and of a video model's weights.
        device: Of a video model, such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.
        batch_size: Frames, or clips of a video model, that are encoded at once.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "frames"
    model: str | None = None
    revision: str | None = None
    frame_rate: float | None = 8.0
    grid: tuple[int, ...] = (2, 2)
    overlap: float = 0.5
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_choices(self)
        check_device("frames", self.device)
        if self.frame_rate is not None and not (self.frame_rate > 0 and math.isfinite(self.frame_rate)):
            raise InputError(f"frames: frame_rate is {self.frame_rate}; it must be above 0, or null for every frame")
        if len(self.grid) != 2 or min(self.grid) < 1:
            raise InputError(f"frames: grid is {list(self.grid)}; give rows and columns, both at least 1")
        if self.batch_size < 1:
            raise InputError(f"frames: batch_size is {self.batch_size}; it must be at least 1")
        if not 0 <= self.overlap < 1:
            raise InputError(f"frames: overlap is {self.overlap}; it must be from 0 up to, not including, 1")

    @property
    def hop_sec(self) -> float | None:
        """From one side step to the next, where the settings tell it."""
        return None if self.frame_rate is None or self.model is not None else 1 / self.frame_rate


class FramesEncoder(Encoder[FramesConfig]):
    """Many frames of a video, few tokens each; weights of a video model are loaded on first use.

    Raises:
        InputError: If the model cannot be read, or is of an unknown family.
    """

    config_class = FramesConfig

    def __init__(self, config: FramesConfig) -> None:
        super().__init__(config)
        self._clips = None if config.model is None else _clip_model(config, config.model)

    @property
    def needs_tower(self) -> bool:
        return self._clips is None

    @property
    def width(self) -> int | None:
        """Feature width D; ``None`` before the base's tower is attached."""
        if self._clips is not None:
            return self._clips.family.width
        return None if self.attached is None else self.attached.width

    @property
    def tokens(self) -> int:
        """Tokens a step N."""
        return self.config.grid[0] * self.config.grid[1]

    @property
    def revision(self) -> str:
        """What identifies the weights of the tower, or of the video model."""
        return self.tower.revision if self._clips is None else self._clips.revision

    @property
    def num_parameters(self) -> int:
        """Weights of the part of the video model that is used; those of the base's tower are the base's."""
        return 0 if self._clips is None else sum(weight.numel() for weight in self._clips.module.parameters())

    @property
    def device(self) -> torch.device:
        """Where a video model runs; the tower runs where the base does."""
        return torch.device("cpu") if self._clips is None else device_of(self.config.device)

    def flops(self, duration_sec: float) -> int:
        """Return the floating-point operations for ``duration_sec`` of video.

        Raises:
            InputError: If every frame is taken, so that only a file tells how many; or the tower is not there.
        """
        if self.config.frame_rate is None:
            raise InputError("frames: frame_rate is null, so that only a file tells the number of frames; give a rate")
        frames = max(1, math.ceil(duration_sec * self.config.frame_rate - 1e-6))
        if self._clips is None:
            return frames * flops_a_frame(self.tower)
        return self._clips.count_clips(frames) * self._clips.flops_a_clip()

    def encode(self, path: Path) -> SideChannel:
        """Return the side channel (K,N,D) of a video.

        Raises:
            InputError: If the file is missing, damaged or no video, changes its size, or the model gives NaN for it.
        """
        path = Path(path)
        rate = self.config.frame_rate
        steps = every_frame(path) if rate is None else steps_at(path, rate)
        if self._clips is None:
            values, group = self._seen_by_tower(path, steps.frames_sec), 1
        else:
            group = self._clips.family.tubelet
            values = self._gathered(self._clips.features(path, steps), math.ceil(len(steps) / group), path)
        return side_channel_of(path, values, steps.times_sec(group), (self.config.grid[0], self.config.grid[1]))

    def _seen_by_tower(self, path: Path, frames_sec: np.ndarray) -> Tensor:
        """Return features (K,N,D) of frames; one that stands for several steps is encoded once."""
        distinct_sec, which = np.unique(frames_sec, return_inverse=True)
        batches = batches_of_frames(path, distinct_sec, self.config.batch_size)
        features = (self.tower.features(frames, pooled=False) for frames in batches)
        values = self._gathered(features, len(distinct_sec), path)
        return values if len(distinct_sec) == len(frames_sec) else values[torch.from_numpy(which)]

    def _gathered(self, features: Iterator[Tensor], count: int, path: Path) -> Tensor:
        """Return features, averaged to the grid, in one tensor (count,N,D) made beforehand."""
        values = torch.empty(0)
        done = 0
        for batch in features:
            pooled = averaged(batch, self.config.grid, path).flatten(1, 2)
            if not done:
                values = torch.empty(count, *pooled.shape[1:], dtype=getattr(torch, self.config.dtype))
            values[done : done + len(pooled)] = pooled
            done += len(pooled)
        return values


def _clip_model(config: FramesConfig, model: str) -> ClipModel:
    pretrained = Pretrained("frames", model, config.revision)
    return ClipModel(pretrained, config.overlap, config.dtype, config.device, config.batch_size)
