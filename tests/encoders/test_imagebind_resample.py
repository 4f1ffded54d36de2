from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pave.encoders.imagebind_resample import resampled
from tests.encoders.published import GOLDEN


def resample(sound: np.ndarray, rate: int, new_rate: int, cuts: list[int] | None = None) -> np.ndarray:
    pieces = np.split(sound, sorted(cuts or []))
    return np.concatenate([np.zeros(0, np.float32), *resampled(pieces, rate, new_rate)])


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")
def test_the_reference_resamples_alike():
    stored = load_file(GOLDEN / "imagebind_audio" / "mel_b44k1_stereo.safetensors")
    for sound, wanted in zip(stored["pcm"].numpy(), stored["resampled_16k"].numpy(), strict=True):
        found = resample(sound.astype(np.float32) / 32768, 44_100, 16_000)
        assert found.shape == wanted.shape and np.abs(found - wanted).max() < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 15_999]),
    length=st.integers(0, 3_000),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
)
def test_pieces_make_no_difference(rate, length, cuts):
    sound = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)

    whole = resample(sound, rate, 16_000)

    assert len(whole) == -(-length * 16_000 // rate)
    assert np.array_equal(resample(sound, rate, 16_000, cuts), whole)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_place_and_loudness(rate):
    times_sec = np.arange(rate) / rate
    found = resample(np.sin(2 * np.pi * 1_000 * times_sec).astype(np.float32), rate, 16_000)

    wanted = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert np.abs(found - wanted)[200:-200].max() < 0.01


def test_what_the_new_rate_cannot_hold_is_taken_out():
    times_sec = np.arange(48_000) / 48_000
    found = resample(np.sin(2 * np.pi * 11_000 * times_sec).astype(np.float32), 48_000, 16_000)

    assert np.abs(found)[200:-200].max() < 0.02


def test_the_same_rate_changes_nothing():
    sound = np.random.default_rng(0).normal(0, 0.1, 100).astype(np.float32)
    assert np.array_equal(resample(sound, 16_000, 16_000, [30]), sound)
