from __future__ import annotations

import numpy as np
import pytest
import torch

from pave.encoders import build
from pave.encoders.log_mel import LogMelConfig, LogMelEncoder
from pave.errors import InputError
from tests.media.writing import click, grey_frames, write_media

RATE = 16_000


def tone(frequency: float, duration_sec: float, amplitude: float = 0.5) -> np.ndarray:
    times_sec = np.arange(round(duration_sec * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * times_sec)).astype(np.float32)[None]


def encode(tmp_path, sound, **settings):
    path = write_media(tmp_path / "sound.wav", sound=sound, sample_rate=RATE, audio_codec="pcm_f32le")
    return build({"type": "log_mel", **settings}).encode(path)


def test_shape_and_times(tmp_path):
    side = encode(tmp_path, tone(440, 3.0), mels=32, window_sec=1.0, hop_sec=0.5, frames_per_step=2)

    assert side.values.shape == (5, 1, 64)
    assert side.times_sec.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_sizes_are_known_beforehand(tmp_path):
    encoder = LogMelEncoder(LogMelConfig(mels=32, frames_per_step=3))

    side = encoder.encode(write_media(tmp_path / "a.wav", sound=tone(440, 1.3), audio_codec="pcm_s16le"))

    assert (side.width, side.tokens) == (encoder.width, encoder.tokens) == (96, 1)
    assert encoder.num_parameters == 0 and encoder.revision == ""
    assert encoder.flops(120.0) == pytest.approx(2 * encoder.flops(60.0), rel=0.02) and encoder.flops(60.0) > 1e6


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("delay_sec", [0.0, 0.7])
def test_a_click_is_in_the_steps_that_cover_its_second(tmp_path, rate, delay_sec):
    path = write_media(
        tmp_path / "film.mp4",
        grey_frames(50, 16, 16),
        sound=click(3.2 - delay_sec, 5 - delay_sec, rate),
        sample_rate=rate,
        sound_start_sec=delay_sec,
    )

    side = build({"type": "log_mel", "window_sec": 0.5, "hop_sec": 0.25}).encode(path)

    loud = side.times_sec[side.values.amax(dim=(1, 2)) > 7]
    assert loud.tolist() == [3.0, 3.25]


def test_the_part_of_a_window_that_sounds_is_told(tmp_path):
    sound = np.zeros((1, RATE), np.float32)
    sound[:, 8_000:12_000] = tone(1_000, 0.25)
    side = encode(tmp_path, sound, window_sec=1.0, hop_sec=1.0, frames_per_step=4)

    levels = side.values.view(4, 64).amax(dim=1)
    assert levels.argmax() == 2
    assert levels[0] == pytest.approx(0.0, abs=1e-3)


def test_higher_tones_are_in_higher_bands(tmp_path):
    bands = [
        encode(tmp_path, tone(frequency, 1.0), frames_per_step=1).values[0, 0].argmax()
        for frequency in (150, 600, 2_400, 7_000)
    ]
    assert bands == sorted(bands) and len(set(bands)) == 4


def test_the_scale_is_fixed_and_loudness_is_kept(tmp_path):
    silence = encode(tmp_path, np.zeros((1, RATE), np.float32)).values
    loud = encode(tmp_path, tone(1_000, 1.0, 1.0)).values
    quiet = encode(tmp_path, tone(1_000, 1.0, 0.1)).values
    noise = encode(tmp_path, np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)).values

    assert silence.unique().tolist() == pytest.approx([0.0])
    assert loud.max() == pytest.approx(60, abs=2)
    # Twenty decibels are a hundredth of the power.
    assert (loud.max() - quiet.max()).item() == pytest.approx(20, abs=0.05)
    assert 0 < noise.mean() < loud.max()


def test_what_follows_changes_nothing_before_it(tmp_path):
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE)).astype(np.float32)
    whole = encode(tmp_path, sound)
    part = encode(tmp_path, sound[:, : 2 * RATE])

    assert torch.allclose(whole.values[: len(part.values)], part.values, atol=1e-5)


def test_a_last_part_window_is_filled_with_silence(tmp_path):
    sound = tone(1_000, 1.25)
    filled = np.pad(sound, ((0, 0), (0, RATE // 4)))

    assert torch.equal(
        encode(tmp_path, sound, window_sec=0.5, hop_sec=0.5).values,
        encode(tmp_path, filled, window_sec=0.5, hop_sec=0.5).values,
    )


def test_no_track_is_none(tmp_path):
    assert build({"type": "log_mel"}).encode(write_media(tmp_path / "a.mp4", grey_frames(10))) is None


def test_offset_moves_the_sound(tmp_path):
    side = encode(tmp_path, click(1.0, 2.0, RATE), offset_sec=2.2, window_sec=0.5, hop_sec=0.25)

    assert side.times_sec[side.values.amax(dim=(1, 2)) > 7].tolist() == [3.0, 3.25]


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mels": 0}, "mels is 0"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"window_sec": 0.0}, r"window_sec is 0\.0"),
        ({"hop_sec": -1.0}, r"hop_sec is -1\.0"),
        ({"fft_sec": 0.0}, r"fft_sec is 0\.0"),
        ({"fft_hop_sec": 0.0}, r"fft_hop_sec is 0\.0"),
        ({"window_sec": 0.05, "frames_per_step": 4}, "lower frames_per_step"),
        ({"mels": 400}, "too many"),
    ],
)
def test_settings_out_of_range(settings, says):
    with pytest.raises(InputError, match=says):
        build({"type": "log_mel", **settings})
