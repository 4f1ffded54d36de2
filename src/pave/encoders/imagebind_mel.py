"""ImageBind's spectrograms: Kaldi's log-mel filter banks, in the precision and order of operations it was trained on.

The third band is narrower than the spectra are fine: it holds no frequency and always reads as silence.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from pave.encoders.imagebind_model import FRAMES, MELS

SAMPLE_RATE = 16_000
STRETCH, HOP, FFT = 400, 160, 512
LOWEST_HZ = 20.0
PRE_EMPHASIS = 0.97
FLOOR = torch.finfo(torch.float32).eps
MEAN, DEVIATION = -4.268, 9.138
"""Of the log-mel values that ImageBind was trained on; spectrograms are normalised by them."""


def spectrograms(samples: Tensor) -> Tensor:
    """Return normalised log-mel spectrograms (B,1,128,204) of sound float32 (B,L) at 16 kHz, at least 400 samples.

    Sound shorter than 2 s is followed by zeros, longer sound is cut off at the 204th spectrum, both as ImageBind does.
    """
    return (filter_banks(samples) - MEAN) / DEVIATION


def filter_banks(samples: Tensor) -> Tensor:
    """Return log-mel filter banks (B,1,128,204), before normalisation."""
    stretches = samples.unfold(1, STRETCH, HOP)
    stretches = stretches - stretches.mean(dim=2, keepdim=True)
    before = torch.cat([stretches[..., :1], stretches[..., :-1]], dim=2)
    windowed = (stretches - PRE_EMPHASIS * before) * torch.hann_window(STRETCH, periodic=False)
    power = torch.fft.rfft(windowed, n=FFT).abs().square()
    logs = (power[..., : FFT // 2] @ _bands()).clamp(min=FLOOR).log()
    logs = logs[:, :FRAMES].transpose(1, 2).unsqueeze(1)
    return torch.nn.functional.pad(logs, (0, FRAMES - logs.shape[3]))


@cache
def _bands() -> Tensor:
    """Return triangles (frequencies, bands), evenly spaced and straight-sided on the mel scale."""
    lowest, highest = (_mels(torch.tensor(hz, dtype=torch.float64)).item() for hz in (LOWEST_HZ, SAMPLE_RATE / 2))
    width = (highest - lowest) / (MELS + 1)
    left, centre, right = (lowest + (torch.arange(MELS) + side) * width for side in range(3))
    mels = _mels(SAMPLE_RATE / FFT * torch.arange(FFT // 2)).unsqueeze(1)
    return torch.minimum((mels - left) / (centre - left), (right - mels) / (right - centre)).clamp(min=0)


def _mels(frequencies: Tensor) -> Tensor:
    return 1127 * (1 + frequencies / 700).log()
