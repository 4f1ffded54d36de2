from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pave.errors import InputError
from pave.media import video
from pave.media.video import frames_at, probe, sample_frames, uniform_times_sec
from tests.media.writing import click, grey_frames, grey_levels, write_media

COUNT = 40
FPS = 10


def shown(pixels: np.ndarray) -> list[int]:
    """Return which grey frame each picture (F,H,W,3) is, by its mean level."""
    means = pixels.reshape(len(pixels), -1).mean(axis=1)
    nearest = np.abs(means[:, None] - grey_levels(22)[None]).argmin(axis=1)
    assert np.abs(means - grey_levels(22)[nearest]).max() < 4, "a picture is none of the written ones"
    return nearest.tolist()


def keyframe_times_sec(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None and packet.is_keyframe]
        return np.array([float(packet.pts * packet.time_base) for packet in packets])


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_media(tmp_path_factory.mktemp("video") / "clip.mp4", grey_frames(COUNT), fps=FPS, gop=8)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.mkv", "libx264"),
        ("a.ts", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("b.mkv", "mpeg4"),
    ],
)
def test_every_container_shows_the_right_frame_at_its_true_time(tmp_path, name, codec):
    path = write_media(tmp_path / name, grey_frames(20), fps=FPS, gop=8, video_codec=codec)

    frames = frames_at(path, [0.0, 0.04, 0.55, 1.21, 1.99])

    assert shown(frames.pixels) == [0, 0, 5, 12, 19]
    assert frames.times_sec == pytest.approx([0.0, 0.0, 0.5, 1.2, 1.9], abs=1e-3)
    assert frames.pixels.dtype == np.uint8 and frames.pixels.shape == (5, 32, 48, 3)


def test_a_frame_is_on_screen_from_its_own_time_until_the_next_one(clip):
    frames = frames_at(clip, [0.7, 0.799, 0.8])

    assert shown(frames.pixels) == [7, 7, 8]
    assert frames.times_sec.tolist() == [0.7, 0.7, 0.8]


def test_times_come_back_in_the_order_asked_for_with_repeats(clip):
    assert shown(frames_at(clip, [2.05, 0.15, 2.05, 1.0, 0.15]).pixels) == [20, 1, 20, 10, 1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_variable_frame_rate_shows_the_last_frame_at_or_before_each_time(tmp_path, data):
    gaps = data.draw(st.lists(st.integers(1, 900), min_size=2, max_size=21))
    starts_sec = np.concatenate([[0], np.cumsum(gaps)]) / 1000
    path = write_media(
        tmp_path / "vfr.mp4", grey_frames(len(starts_sec)), starts_sec, gop=data.draw(st.integers(1, 9))
    )
    times_sec = np.array(data.draw(st.lists(st.floats(0, starts_sec[-1]), min_size=1, max_size=9)))
    times_sec = times_sec[np.abs(times_sec[:, None] - starts_sec[None]).min(axis=1) > 1e-4]

    if len(times_sec):
        expected = np.searchsorted(starts_sec, times_sec, side="right") - 1
        frames = frames_at(path, times_sec)
        assert shown(frames.pixels) == (expected % 22).tolist()
        assert frames.times_sec == pytest.approx(starts_sec[expected], abs=1e-4)


def test_a_flash_of_variable_frame_rate_is_found_at_its_second(tmp_path):
    pixels = np.full((30, 32, 32, 3), 30, np.uint8)
    pixels[17] = 230
    starts_sec = np.sort(np.random.default_rng(0).uniform(0.0, 5.0, size=30))
    starts_sec[0], starts_sec[17], starts_sec[18:] = 0.0, 3.2, np.linspace(3.25, 5.0, 12)
    starts_sec[1:17] = np.linspace(0.1, 3.0, 16) ** 1.02
    path = write_media(tmp_path / "flash.mp4", pixels, starts_sec)

    frames = frames_at(path, np.arange(0, 5.0, 0.01))

    bright = frames.pixels.mean(axis=(1, 2, 3)) > 130
    assert np.arange(0, 5.0, 0.01)[bright] == pytest.approx(np.arange(3.2, 3.25, 0.01), abs=1e-6)
    assert set(frames.times_sec[bright]) == {3.2}


def test_of_an_hour_only_what_leads_from_keyframes_to_the_times_is_decoded(tmp_path, monkeypatch):
    path = write_media(tmp_path / "hour.mp4", grey_frames(3_600, 16, 16), fps=1, gop=60)
    decoded: list[float] = []
    decode = video.decoded_frames

    def counting(*arguments):
        for frame in decode(*arguments):
            decoded.append(float(frame.pts * frame.time_base))
            yield frame

    monkeypatch.setattr(video, "decoded_frames", counting)
    keys = keyframe_times_sec(path)
    first, second = keys[10], keys[50]
    assert keys[11] - first > 9, "the test wants two times after one keyframe"

    frames_at(path, [first + 2.5, first + 8.5, second])

    expected = [*np.arange(first, first + 10), second, second + 1]
    assert decoded == expected, "from each keyframe to the one frame that shows that the last time is reached"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.ts", "libx264"),
        ("a.flv", "libx264"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg2video"),
        ("b.ts", "mpeg2video"),
    ],
)
def test_jumping_finds_the_frames_that_decoding_everything_finds(tmp_path, name, codec):
    path = write_media(tmp_path / name, grey_frames(150), fps=25, gop=12, video_codec=codec)
    everything = frames_at(path, (np.arange(150) + 0.5) / 25)
    assert len(set(everything.times_sec)) >= 149
    rng = np.random.default_rng(0)

    for _ in range(10):
        chosen = rng.choice(150, size=3, replace=False)
        frames = frames_at(path, (chosen + 0.5) / 25)
        assert np.array_equal(frames.times_sec, everything.times_sec[chosen])
        assert np.array_equal(frames.pixels, everything.pixels[chosen])


def test_damage_after_the_last_time_does_not_matter_and_before_it_is_named(tmp_path):
    path = write_media(tmp_path / "hole.mp4", _noise(60), fps=FPS, gop=10)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)

    assert len(frames_at(path, [0.5, 1.5]).pixels) == 2
    with pytest.raises(InputError, match=r"hole\.mp4: damaged (or cut off )?at [23]\.\d{3} s") as error:
        frames_at(path, np.arange(0.05, 4.0, 0.1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("degrees", "mirrored", "corner"),
    [
        (0, False, (0, 0)),
        (90, False, (-1, 0)),
        (180, False, (-1, -1)),
        (-90, False, (0, -1)),
        (0, True, (0, -1)),
        (90, True, (-1, -1)),
    ],
)
def test_pictures_are_upright(tmp_path, degrees, mirrored, corner):
    pixels = np.full((10, 32, 64, 3), 30, np.uint8)
    pixels[:, :16, :16] = 230
    path = write_media(tmp_path / "turned.mp4", pixels, rotation_degrees=degrees, mirrored=mirrored)
    upright = (64, 32) if degrees in (90, -90) else (32, 64)

    picture = frames_at(path, [0.5]).pixels[0]
    info = probe(path)

    assert picture.shape[:2] == upright == (info.height, info.width)
    bright = [(row, column) for row in (0, -1) for column in (0, -1) if picture[row, column].mean() > 130]
    assert bright == [corner]


def test_colours_survive(tmp_path):
    pixels = np.zeros((5, 32, 32, 3), np.uint8)
    pixels[:] = (200, 60, 20)
    path = write_media(tmp_path / "red.mp4", pixels)

    assert np.abs(frames_at(path, [0.2]).pixels[0, 16, 16].astype(int) - [200, 60, 20]).max() < 12


def test_the_first_frame_stands_in_for_times_before_it(tmp_path):
    path = write_media(tmp_path / "late.mkv", grey_frames(10), np.arange(10) / 10 + 2.0, sound=click(1, 4, 16_000))

    frames = frames_at(path, [0.0, 0.35])

    assert shown(frames.pixels) == [0, 3], "the video's clock starts with its first frame"
    assert frames.times_sec == pytest.approx([0.0, 0.3], abs=1e-3)


def test_times_beyond_the_end_name_the_duration(clip):
    assert shown(frames_at(clip, [4.04]).pixels) == [17], "half a frame of slack"
    with pytest.raises(InputError, match=r"no frame at 4\.100 s; the video lasts 4\.000 s"):
        frames_at(clip, [0.0, 4.1])


@pytest.mark.parametrize("times_sec", [[], [[0.0]], [-0.1], [np.nan], [np.inf]])
def test_times_that_are_none_are_refused(clip, times_sec):
    with pytest.raises(InputError, match="times_sec"):
        frames_at(clip, times_sec)


def test_a_change_of_size_within_a_file_is_named(tmp_path):
    first = write_media(tmp_path / "first.ts", grey_frames(10, 32, 32))
    second = write_media(tmp_path / "second.ts", grey_frames(10, 64, 64), 1 + np.arange(10) / 10)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())

    with pytest.raises(InputError, match="32 x 32 to 64 x 64"):
        frames_at(path, np.arange(0, 1.9, 0.1))


def test_uniform_times_are_midpoints_of_equal_parts():
    assert uniform_times_sec(8.0, 4).tolist() == [1.0, 3.0, 5.0, 7.0]
    for duration_sec, count in [(0.0, 4), (-1.0, 4), (np.nan, 4), (np.inf, 4), (8.0, 0)]:
        with pytest.raises(InputError):
            uniform_times_sec(duration_sec, count)


def test_sample_frames_takes_the_midpoints(clip):
    frames = sample_frames(clip, 4)

    assert shown(frames.pixels) == [5, 15, 25 - 22, 35 - 22]
    assert frames.times_sec.tolist() == [0.5, 1.5, 2.5, 3.5]


def _noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
