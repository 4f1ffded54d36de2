"""Features that were computed elsewhere, read with their times instead of being encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pave.encoders.base import Encoder, side_channel_of
from pave.encoders.features import Features, read_features
from pave.errors import InputError
from pave.types import SideChannel


@dataclass(frozen=True)
class PrecomputedConfig:
    """How to read feature files.

    Args:
        type: Name in the encoder registry.
        width: Feature width D that every file must have; ``None`` accepts any.
        hop_sec: For files without times: seconds from one step to the next.
        start_sec: For files without times: centre of the first step.
        offset_sec: Added to all times, for a signal that was recorded apart from the picture.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "precomputed"
    width: int | None = None
    hop_sec: float | None = None
    start_sec: float = 0.0
    offset_sec: float = 0.0

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise InputError(f"precomputed: width is {self.width}; it must be at least 1")
        if self.hop_sec is not None and not (self.hop_sec > 0 and math.isfinite(self.hop_sec)):
            raise InputError(f"precomputed: hop_sec is {self.hop_sec}; it must be above 0 seconds")
        if not (self.start_sec >= 0 and math.isfinite(self.start_sec)):
            raise InputError(f"precomputed: start_sec is {self.start_sec}; it must be 0 or more seconds")
        if not math.isfinite(self.offset_sec):
            raise InputError(f"precomputed: offset_sec is {self.offset_sec}; it must be a number of seconds")


class PrecomputedEncoder(Encoder[PrecomputedConfig]):
    """Reads a side channel from ``.safetensors``, ``.npy``, ``.npz``, ``.pt`` or ``.pth``."""

    config_class = PrecomputedConfig

    @property
    def width(self) -> int | None:
        """Feature width D that files must have, or ``None`` if any will do."""
        return self.config.width

    @property
    def tokens(self) -> int | None:
        """``None``: each file has its own number of tokens a step."""
        return None

    def encode(self, path: Path) -> SideChannel:
        """Return the side channel (K,N,D) in a feature file.

        Raises:
            InputError: If the file is missing, damaged or of another form, its values or times are not those of a side
                channel, or its width is another than the settings say.
        """
        path = Path(path)
        features = read_features(path)
        side_channel = side_channel_of(path, features.values, self._times_sec(features, path), features.grid)
        if self.config.width is not None and side_channel.width != self.config.width:
            raise InputError(
                f"{path}: values have width {side_channel.width}, the settings say {self.config.width}; "
                "name files of that width or change 'width'"
            )
        return side_channel

    def _times_sec(self, features: Features, path: Path) -> Tensor:
        if features.times_sec is not None:
            return features.times_sec.double() + self.config.offset_sec
        if self.config.hop_sec is None:
            raise InputError(f"{path}: holds no times; add a tensor times_sec, or set 'hop_sec' (and 'start_sec')")
        steps = torch.arange(len(features.values) if features.values.ndim else 0, dtype=torch.float64)
        return steps * self.config.hop_sec + self.config.start_sec + self.config.offset_sec
