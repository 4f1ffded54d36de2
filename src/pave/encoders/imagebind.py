"""ImageBind's audio branch as an encoder: one embedding for every second of sound, as the reference extracts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pave.encoders import imagebind_model
from pave.encoders.base import side_channel_of
from pave.encoders.imagebind_mel import SAMPLE_RATE, STRETCH, spectrograms
from pave.encoders.imagebind_resample import resampled
from pave.encoders.published import PublishedConfig, PublishedEncoder, batches, count_flops, fill
from pave.encoders.weights import open_checkpoint
from pave.errors import InputError
from pave.media.audio import sample_rate_of, stream_audio
from pave.types import SideChannel

WINDOW_SEC = 2.0
"""Sound that ImageBind was trained on at a time; its positions are learnt for no other length."""

WINDOW = round(WINDOW_SEC * SAMPLE_RATE)
PUBLISHED_FILE = "imagebind_huge.pth"


@dataclass(frozen=True)
class ImageBindConfig(PublishedConfig):
    """Settings of the ImageBind encoder, with those of :class:`PublishedConfig`; defaults are the reference's.

    Args:
        weights: File, such as ``imagebind_huge.pth``, of which only the audio branch is read; folder or hub id.
        hop_sec: From one window of 2 s to the next, 2 s at most; a step's time is its window's centre.
        heads: Attention heads, which weights do not tell.
        cover_end: Take a last window, filled up, for sound that goes on after the last whole one. The reference leaves
            it out; sound shorter than a window gets one in any case.
        carry_means: Take each window's mean off the sound for good, as the reference does to windows that overlap,
            instead of off each window alone. Only sound with a constant offset shows the difference.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "imagebind"
    hop_sec: float = 1.0
    heads: int = 12
    cover_end: bool = False
    carry_means: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 / SAMPLE_RATE <= self.hop_sec <= WINDOW_SEC:
            raise InputError(f"imagebind: hop_sec is {self.hop_sec}; it must be above 0, and {WINDOW_SEC:g} at most")
        if self.heads < 1:
            raise InputError(f"imagebind: heads is {self.heads}; it must be at least 1")

    @property
    def window_sec(self) -> float:
        """Sound that a side step covers."""
        return WINDOW_SEC

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return round(self.hop_sec * SAMPLE_RATE)


class ImageBindEncoder(PublishedEncoder[ImageBindConfig]):
    """Windows of 2 s through ImageBind-Huge's audio trunk, head and scale: one token (K,1,1024) a window.

    Sound is taken as the reference takes it: the first channel alone, resampled to 16 kHz by a windowed sinc.
    """

    config_class = ImageBindConfig
    weights_licence = "ImageBind: CC BY-NC-SA 4.0, for non-commercial research only"

    def _outline(self) -> nn.Module:
        config = self.config
        self._checkpoint = open_checkpoint(config.weights, config.revision, imagebind_model.audio_part, PUBLISHED_FILE)
        network = imagebind_model.outline(self._checkpoint.shapes, config.heads)
        self._checkpoint.check({name: tuple(value.shape) for name, value in network.state_dict().items()})
        return network

    def _load(self) -> nn.Module:
        return fill(self.outline, self._checkpoint)

    @property
    def width(self) -> int:
        """Feature width D."""
        return self._checkpoint.shapes["modality_heads.audio.2.weight"][0]

    @property
    def tokens(self) -> int:
        """Tokens a step N, one."""
        return 1

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a hash of the weights."""
        return self._checkpoint.revision(self.outline.state_dict())

    def flops(self, duration_sec: float) -> int:
        """Return the network's floating-point operations for ``duration_sec`` of sound, counted on one window."""
        mels, frames = imagebind_model.MELS, imagebind_model.FRAMES
        samples = round(duration_sec * SAMPLE_RATE)
        steps = max(1, 1 + (samples - WINDOW) // self.config.hop) if samples else 0
        return steps * count_flops(self.outline, (1, 1, mels, frames))

    def encode(self, path: Path) -> SideChannel | None:
        """Return the side channel (K,1,D) of a file's sound, or ``None`` if it has no sound track.

        Raises:
            InputError: If the file is missing, damaged or no media, or the network gives NaN for it.
        """
        path = Path(path)
        rate = sample_rate_of(path)
        if rate is None:
            return None
        pieces = stream_audio(path, rate, offset_sec=self.config.offset_sec, first_channel=True)
        assert pieces is not None
        clips = windows(resampled(pieces, rate, SAMPLE_RATE), self.config)
        features = [self._features(batch) for batch in batches(clips, self.config.batch_size)]
        values = torch.cat([torch.zeros(0, self.width, dtype=self._dtype), *features])
        times_sec = torch.arange(len(values), dtype=torch.float64) * (self.config.hop / SAMPLE_RATE) + WINDOW_SEC / 2
        return side_channel_of(path, values, times_sec)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.config.dtype)
        return dtype

    def _features(self, clips: list[np.ndarray]) -> Tensor:
        # A last window may be shorter than the others, which its spectrogram makes up for.
        pictures = [spectrograms(torch.from_numpy(clip)[None]) for clip in clips]
        return self.run(nn.Module.__call__, torch.cat(pictures).to(self._dtype))


def windows(pieces: Iterator[np.ndarray], config: ImageBindConfig) -> Iterator[np.ndarray]:
    """Return windows float32 (L,) of sound at 16 kHz, without their mean; L is 2 s, or less for the last one."""
    held = np.zeros(0, np.float32)
    fresh = 0
    given = False
    for piece in pieces:
        held, fresh = np.concatenate([held, piece]), fresh + len(piece)
        while len(held) >= WINDOW:
            clip = _without_mean(held[:WINDOW])
            yield clip
            rest = held[WINDOW:]
            held = np.concatenate([clip if config.carry_means else held[:WINDOW], rest])[config.hop :]
            fresh, given = len(rest), True
    if fresh and (config.cover_end or not given):
        yield np.pad(_without_mean(held), (0, max(0, STRETCH - len(held))))


def _without_mean(clip: np.ndarray) -> np.ndarray:
    # Summed as torch does it: near silence the logarithm shows how a mean was rounded.
    return clip - torch.from_numpy(clip).mean().numpy()
