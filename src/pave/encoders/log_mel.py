"""Log-mel spectrogram of the sound, an encoder without weights: enough for a patch to tell sounds and their times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d
from transformers.audio_utils import mel_filter_bank

from pave.encoders.base import Encoder, side_channel_of
from pave.encoders.windows import Windows
from pave.errors import InputError
from pave.types import SideChannel

BATCH_SIZE = 64

POWER_FLOOR = 1e-6
"""Power below which everything is silence, 60 dB under a full-scale tone.

Features are decibels above it: 0 for silence, 60 for a full-scale tone, so that a sound stands out and
keeps its loudness."""


@dataclass(frozen=True)
class LogMelConfig:
    """Settings of the log-mel encoder; the feature width D is ``mels * frames_per_step``.

    Args:
        type: Name in the encoder registry.
        sample_rate: The sound is resampled to this many samples a second.
        mels: Mel bands.
        window_sec: Sound that a side step covers; its time is the centre.
        hop_sec: From one side step to the next.
        frames_per_step: Equal parts of a window that get a spectrum each.
        fft_sec: Length of the Hann window of a spectrum.
        fft_hop_sec: From one spectrum to the next; those within a part are averaged.
        offset_sec: Added to the times of sound that was recorded apart from the picture.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "log_mel"
    sample_rate: int = 16_000
    mels: int = 64
    window_sec: float = 0.5
    hop_sec: float = 0.25
    frames_per_step: int = 4
    fft_sec: float = 0.025
    fft_hop_sec: float = 0.01
    offset_sec: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "mels", "frames_per_step"):
            if getattr(self, name) < 1:
                raise InputError(f"log_mel: {name} is {getattr(self, name)}; it must be at least 1")
        try:
            Windows(self.window_sec, self.hop_sec, self.sample_rate)
        except InputError as error:
            raise InputError(f"log_mel: {error}") from None
        for name in ("fft_sec", "fft_hop_sec"):
            if not getattr(self, name) * self.sample_rate >= 1:
                raise InputError(
                    f"log_mel: {name} is {getattr(self, name)}; it must be at least 1/{self.sample_rate} s"
                )
        if self.spectra < self.frames_per_step:
            raise InputError(
                f"log_mel: window_sec {self.window_sec} holds no {self.frames_per_step} spectra of {self.fft_sec} s; "
                "lengthen it or lower frames_per_step"
            )

    @property
    def fft_samples(self) -> int:
        """Samples of one spectrum."""
        return round(self.fft_sec * self.sample_rate)

    @property
    def fft_hop_samples(self) -> int:
        """Samples from one spectrum to the next."""
        return round(self.fft_hop_sec * self.sample_rate)

    @property
    def spectra(self) -> int:
        """Spectra that lie wholly in a window, 0 or less if it is too short."""
        return 1 + (round(self.window_sec * self.sample_rate) - self.fft_samples) // self.fft_hop_samples


class LogMelEncoder(Encoder[LogMelConfig]):
    """Mean power in mel bands over the parts of a window, as a logarithm on a fixed scale."""

    config_class = LogMelConfig

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config)
        self._windows = Windows(config.window_sec, config.hop_sec, config.sample_rate)
        self._fft_size = 2 ** math.ceil(math.log2(config.fft_samples))
        self._hann = torch.hann_window(config.fft_samples)
        self._filters = self._mel_filters()

    @property
    def width(self) -> int:
        """Feature width D."""
        return self.config.mels * self.config.frames_per_step

    @property
    def tokens(self) -> int:
        """Tokens a step N, one."""
        return 1

    def flops(self, duration_sec: float) -> int:
        """Return the operations of the Fourier transforms (2.5 n log2 n each) and the mel bands."""
        steps = self._windows.count(round(duration_sec * self.config.sample_rate))
        transform = 2.5 * self._fft_size * math.log2(self._fft_size)
        return round(steps * self.config.spectra * (transform + 2 * self._filters.numel()))

    def encode(self, path: Path) -> SideChannel | None:
        """Return the side channel (K,1,D) of a file's sound, or ``None`` if it has no sound track.

        Raises:
            InputError: If the file is missing, damaged or no media.
        """
        path = Path(path)
        batches = self._windows.over(path, self.config.offset_sec, BATCH_SIZE)
        if batches is None:
            return None
        features = [self._features(torch.from_numpy(batch)) for batch in batches]
        values = torch.cat([torch.zeros(0, self.width), *features])
        return side_channel_of(path, values, self._windows.times_sec(len(values)))

    def _features(self, samples: Tensor) -> Tensor:
        """Return features (B, frames_per_step * mels) of windows of sound (B,L)."""
        stretches = samples.unfold(1, self.config.fft_samples, self.config.fft_hop_samples)
        # Half the window's sum is the magnitude of a full-scale tone.
        magnitudes = torch.fft.rfft(stretches * self._hann, n=self._fft_size).abs() / (0.5 * self._hann.sum())
        mel_power = magnitudes.square() @ self._filters
        parts = adaptive_avg_pool1d(mel_power.transpose(1, 2), self.config.frames_per_step)
        return torch.log10(1 + parts / POWER_FLOOR).mul(10).transpose(1, 2).flatten(1)

    def _mel_filters(self) -> Tensor:
        """Return triangular filters (frequencies, mels) on the mel scale up to half the sample rate."""
        config = self.config
        bins = self._fft_size // 2 + 1
        filters = mel_filter_bank(
            bins, config.mels, 0.0, config.sample_rate / 2, config.sample_rate, norm=None, mel_scale="htk"
        )
        if (filters.max(axis=0) == 0).any():
            raise InputError(
                f"log_mel: {config.mels} mels are too many for fft_sec {config.fft_sec}; some bands hold no frequency"
            )
        return torch.from_numpy(filters).float()
