"""What happens at 3.200 s is in the side step that covers 3.200 s, whatever the file and the encoder."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pave.encoders import build
from tests.encoders.models import save_tiny_model
from tests.encoders.video_models import GreyTower
from tests.media.writing import click, grey_frames, write_media

HAPPENS_SEC = 3.2
SOUND = {"log_mel": {"type": "log_mel"}, "audio": {"type": "audio", "device": "cpu"}}


@pytest.fixture(scope="module")
def hubert(tmp_path_factory):
    return save_tiny_model("hubert", tmp_path_factory.mktemp("hubert"))


@pytest.fixture(params=sorted(SOUND))
def ears(request, hubert):
    """Builds an encoder of sound with windows of a fifth of a second, side by side."""

    def make(**settings):
        own = {"model": str(hubert)} if request.param == "audio" else {}
        return build({**SOUND[request.param], **own, "window_sec": 0.2, "hop_sec": 0.2, **settings})

    return make


def loud_sec(side) -> list[float]:
    """Times of the steps that are unlike silence."""
    change = (side.values - side.values[0]).abs().amax(dim=(1, 2))
    return side.times_sec[change > 0.2 * change.max()].tolist()


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 10])
def test_any_sample_rate_and_number_of_channels(tmp_path, ears, rate, channels):
    sound = click(HAPPENS_SEC + 0.05, 5.0, rate, channels)
    path = write_media(tmp_path / "a.wav", sound=sound, sample_rate=rate, audio_codec="pcm_s16le")
    side = ears().encode(path)
    assert loud_sec(side) == pytest.approx([3.3])


@pytest.mark.parametrize("delay_sec", [0.0, 0.7])
@pytest.mark.parametrize("name, codec, rate", [("a.mp4", "aac", 44_100), ("a.mkv", "libopus", 48_000)])
def test_any_delay_in_the_container(tmp_path, ears, name, codec, rate, delay_sec):
    sound = click(HAPPENS_SEC + 0.05 - delay_sec, 5.0, rate, 2)
    film = {"frames": grey_frames(60, 16, 16), "audio_codec": codec, "sample_rate": rate}
    path = write_media(tmp_path / name, sound=sound, sound_start_sec=delay_sec, **film)
    side = ears().encode(path)
    # A codec's decoder may ring on after the click; before it there is silence.
    assert loud_sec(side)[0] == pytest.approx(3.3)


@pytest.mark.parametrize("offset_sec", [-1.3, 0.45, 2.0])
def test_any_offset_of_sound_recorded_apart(tmp_path, ears, offset_sec):
    sound = click(HAPPENS_SEC + 0.05 - offset_sec, 7.0, 44_100)
    path = write_media(tmp_path / "a.flac", sound=sound, sample_rate=44_100, audio_codec="flac")
    side = ears(offset_sec=offset_sec).encode(path)
    assert loud_sec(side) == pytest.approx([3.3])


def test_pictures_of_a_film_whose_sound_starts_first(tmp_path):
    """The clock is the picture's: a container's zero plays no part."""
    times_sec = 0.5 + np.arange(60) / 10
    frames = np.full((60, 32, 48, 3), 30, dtype=np.uint8)
    frames[32] = 220
    path = write_media(tmp_path / "a.mkv", frames, times_sec, sound=click(1.0, 6.5, 16_000))
    encoder = build({"type": "frames", "frame_rate": 10.0, "grid": (1, 1)})
    encoder.attach(GreyTower())
    side = encoder.encode(path)
    assert side.times_sec[side.values[:, 0, 0] > 120].tolist() == pytest.approx([3.25])


def test_ten_hours_of_video_take_little_memory(tmp_path):
    """Pictures every ten seconds, a step every second."""
    count = 3600
    frames = np.broadcast_to(np.uint8(60), (count, 64, 64, 3)).copy()
    frames[1234] = 220
    path = write_media(tmp_path / "day.mp4", frames, np.arange(count) * 10.0)
    del frames
    encoder = build({"type": "frames", "frame_rate": 1.0, "grid": (1, 1)})
    encoder.attach(GreyTower())
    tracemalloc.start()
    side = encoder.encode(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert side.times_sec[side.values[:, 0, 0] > 120].tolist() == pytest.approx((12340.5 + np.arange(10)).tolist())
    assert side.steps >= 35_991 and peak < 16e6


def test_long_sound_takes_as_little_memory_as_short(tmp_path, ears):
    peaks = []
    for minutes in (3, 9):
        sound = click(HAPPENS_SEC, 60.0 * minutes, 8_000)
        path = write_media(tmp_path / f"{minutes}.wav", sound=sound, sample_rate=8_000, audio_codec="pcm_s16le")
        encoder = ears(window_sec=2.0, hop_sec=1.0)
        encoder.encode(path)
        tracemalloc.start()
        assert encoder.encode(path).steps == 60 * minutes - 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
