"""Sound through a pretrained audio model of transformers, frozen: AST, CLAP, Whisper, or one of Wav2Vec2's kin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoFeatureExtractor

from pave.config import check_choices
from pave.encoders.audio_families import FAMILIES, WaveformFamily
from pave.encoders.base import Encoder, side_channel_of
from pave.encoders.pretrained import Pretrained, check_device, device_of
from pave.encoders.windows import Windows
from pave.errors import InputError
from pave.types import SideChannel

UNUSED_WEIGHTS = ("masked_spec_embed",)
"""Weights that only training uses; checkpoints made for inference lack them."""


@dataclass(frozen=True)
class AudioConfig:
    """Settings of the audio encoder.

    Args:
        model: Hub id or folder of a transformers audio model with its feature extractor.
        type: Name in the encoder registry.
        revision: Branch, tag or commit on the hub.
        window_sec: Sound that a side step covers; its time is the centre.
        hop_sec: From one side step to the next.
        pooling: ``mean`` over the model's tokens gives one token a step; ``none`` keeps them all.
        offset_sec: Added to the times of sound that was recorded apart from the picture.
        dtype: Of weights and features.
        device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.
        batch_size: Windows that go through the model at once.

    Raises:
        InputError: On a value out of range.
    """

    model: str
    type: str = "audio"
    revision: str | None = None
    window_sec: float = 2.0
    hop_sec: float = 1.0
    pooling: Literal["mean", "none"] = "mean"
    offset_sec: float = 0.0
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    batch_size: int = 16

    def __post_init__(self) -> None:
        check_choices(self)
        if self.batch_size < 1:
            raise InputError(f"audio: batch_size is {self.batch_size}; it must be at least 1")
        check_device("audio", self.device)


class AudioEncoder(Encoder[AudioConfig]):
    """Windows of sound through a frozen audio model; weights are loaded on first use.

    Raises:
        InputError: If the model cannot be read, is of an unknown family, or takes no window as long as asked.
    """

    config_class = AudioConfig

    def __init__(self, config: AudioConfig) -> None:
        super().__init__(config)
        self._pretrained = Pretrained("audio", config.model, config.revision)
        self._model_config = self._pretrained.config(FAMILIES)
        self._family_class = FAMILIES[self._model_config.model_type]
        self._extractor = self._pretrained.load(AutoFeatureExtractor)
        try:
            self._windows = Windows(config.window_sec, config.hop_sec, self._extractor.sampling_rate)
        except InputError as error:
            raise InputError(f"audio: {error}") from None
        longest_sec = self._family_class.longest_sec(self._extractor)
        if config.window_sec > longest_sec:
            raise InputError(
                f"audio: window_sec is {config.window_sec}, {config.model} takes {longest_sec:g} s at most; shorten it"
            )

    @property
    def width(self) -> int:
        """Feature width D."""
        return self._silent_step[0].shape[-1]

    @property
    def tokens(self) -> int:
        """Tokens a step N."""
        return self._silent_step[0].shape[1]

    @property
    def num_parameters(self) -> int:
        """Weights of the part of the model that encodes sound."""
        return sum(weight.numel() for weight in self._family.module.parameters())

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return device_of(self.config.device)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a hash of the folder's files."""
        return self._pretrained.identity(self._model_config)

    def flops(self, duration_sec: float) -> int:
        """Return the model's floating-point operations for ``duration_sec`` of sound, counted on one window."""
        # The counter does not see fused attention on the CPU; the plain kernel is made of products that it counts.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._features(np.zeros((1, self._windows.samples), np.float32))
        return counter.get_total_flops() * self._windows.count(round(duration_sec * self._windows.sample_rate))

    def encode(self, path: Path) -> SideChannel | None:
        """Return the side channel (K,N,D) of a file's sound, or ``None`` if it has no sound track.

        Raises:
            InputError: If the file is missing, damaged or no media, or the model gives NaN for it.
        """
        path = Path(path)
        batches = self._windows.over(path, self.config.offset_sec, self.config.batch_size)
        if batches is None:
            return None
        empty, grid = self._silent_step
        values = torch.cat([empty[:0], *(self._features(batch)[0] for batch in batches)])
        return side_channel_of(path, values, self._windows.times_sec(len(values)), grid)

    @cached_property
    def _silent_step(self) -> tuple[Tensor, tuple[int, int]]:
        return self._features(np.zeros((1, self._windows.samples), np.float32))

    @torch.no_grad()
    def _features(self, windows: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
        """Return features (B,N,D) of windows of sound (B,L), and the grid of the N tokens."""
        module = self._family.module
        weight = next(module.parameters())
        inputs = {
            name: value.to(weight.device, weight.dtype if value.is_floating_point() else None)
            for name, value in self._family.inputs(windows).items()
        }
        tokens, grid = self._family.tokens(module(**inputs))
        if self.config.pooling == "mean":
            tokens, grid = tokens.mean(dim=1, keepdim=True), (1, 1)
        return tokens.cpu(), grid

    @cached_property
    def _family(self) -> WaveformFamily:
        model = self._pretrained.weights(
            self._family_class.part_of, self.config.dtype, self.config.device, UNUSED_WEIGHTS
        )
        return self._family_class(model, self._extractor, self.config.window_sec)
