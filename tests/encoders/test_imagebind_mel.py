from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave.encoders.imagebind_mel import filter_banks, spectrograms
from tests.encoders.published import GOLDEN, assert_same_spectra

golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")
SILENCE = math.log(torch.finfo(torch.float32).eps)


def without_mean(sound: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(sound - torch.from_numpy(sound).mean().numpy())


def stored(name: str) -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "imagebind_audio" / f"mel_{name}.safetensors")


@golden
@pytest.mark.parametrize("name", ["short_1p2s", "long_2p6s", "min_400"])
def test_lengths_other_than_two_seconds(name):
    case = stored("edge")
    sound = case[f"{name}.pcm"][0].numpy().astype(np.float32) / 32768

    # The reference summed the longest in several threads; the logarithm of near silence shows the rounding.
    exact = torch.from_numpy(sound - sound.mean(dtype=np.float64).astype(np.float32))
    mean_free = exact if name == "long_2p6s" else without_mean(sound)
    assert_same_spectra(filter_banks(mean_free[None])[0], case[f"{name}.mel"])


@golden
def test_two_seconds():
    case = stored("a16k_mono_dc")
    sound = case["pcm"][0].numpy().astype(np.float32) / 32768
    windows = torch.stack([without_mean(sound[start : start + 32_000]) for start in (0, 16_000)])

    found = filter_banks(windows)

    assert_same_spectra(found[..., 96:102], case["mel_independent_frames_96_102"])
    assert_same_spectra(found[0], case["mel_reference"][0])


@golden
def test_stereo():
    case = stored("b44k1_stereo")
    window = case["resampled_16k"][:, :32_000]

    found = filter_banks(window[:1] - window.mean())

    assert_same_spectra(found, case["mel_reference"])


def test_silence_and_the_band_that_holds_no_frequency():
    noise = torch.randn(2, 32_000, generator=torch.Generator().manual_seed(0)) * 0.1

    assert filter_banks(torch.zeros(1, 32_000))[..., :198].unique().tolist() == pytest.approx([SILENCE])
    bands = filter_banks(noise)[..., :198].amax(dim=(0, 1, 3))
    assert (bands == bands.min()).nonzero().flatten().tolist() == [3]


def test_short_sound_is_followed_by_zeros_before_it_is_normalised():
    short = spectrograms(torch.zeros(1, 4_000))

    assert short.shape == (1, 1, 128, 204)
    assert short[..., 23:].unique().tolist() == pytest.approx([4.268 / 9.138])
