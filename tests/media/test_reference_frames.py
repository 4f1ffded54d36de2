"""Frames by the reference's rule: whole frame numbers, folders of pictures, squashed squares."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pave.errors import InputError
from pave.media.reference_frames import evenly_numbered, frame_times_sec, sample_reference_frames, squash
from pave.media.video import frames_at
from tests.media.writing import grey_frames, grey_levels, write_avi, write_media


def numbers(frames: np.ndarray) -> list[int]:
    """Number of each flat grey frame."""
    levels = frames.reshape(len(frames), -1).mean(axis=1)
    return [int(np.abs(grey_levels(22) - level).argmin()) for level in levels]


def write_pictures(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name, pixels in zip(names, grey_frames(len(names)), strict=True):
        Image.fromarray(pixels).save(folder / name, quality=95)
    return folder


@given(frames=st.integers(1, 5000), count=st.integers(1, 64))
def test_numbers_are_fractions_cut_off_from_first_to_last(frames: int, count: int) -> None:
    chosen = evenly_numbered(frames, count)
    assert len(chosen) == count and chosen[0] == 0
    assert count == 1 or chosen[-1] == frames - 1
    exact = [index * (frames - 1) / max(count - 1, 1) for index in range(count)]
    assert all(value - 1 <= number <= value + 1e-9 for number, value in zip(chosen, exact, strict=True))


def test_numbers_of_a_known_case() -> None:
    assert evenly_numbered(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_numbered(100, 8).tolist() == [0, 14, 28, 42, 56, 70, 84, 99]
    assert evenly_numbered(3, 5).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("mpg", "mpeg2video")])
def test_frames_are_taken_by_number_and_keep_their_times(tmp_path: Path, suffix: str, codec: str) -> None:
    rate = 25 if codec == "mpeg2video" else 10
    path = write_media(tmp_path / f"film.{suffix}", grey_frames(20), fps=rate, video_codec=codec)
    sampled = sample_reference_frames(path, 6)
    assert numbers(sampled.pixels) == [0, 3, 7, 11, 15, 19]
    np.testing.assert_allclose(sampled.times_sec, np.array([0, 3, 7, 11, 15, 19]) / rate, atol=2e-3)
    np.testing.assert_allclose(frame_times_sec(path), np.arange(20) / rate, atol=2e-3)


def test_numbers_count_frames_whatever_their_length(tmp_path: Path) -> None:
    times_sec = np.array([0, 0.1, 0.2, 0.3, 2.0, 2.1, 5.0])
    path = write_media(tmp_path / "film.mp4", grey_frames(7), frame_times_sec=times_sec)
    sampled = sample_reference_frames(path, 3)
    assert numbers(sampled.pixels) == [0, 3, 6]
    np.testing.assert_allclose(sampled.times_sec, [0, 0.3, 5.0], atol=1e-3)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_of_an_avi_with_b_frames_keep_their_times(tmp_path: Path, codec: str) -> None:
    path = write_avi(tmp_path / "film.avi", grey_frames(20), codec, held_back=2)
    np.testing.assert_allclose(frame_times_sec(path), np.arange(20) / 10, atol=1e-9)
    sampled = sample_reference_frames(path, 6)
    assert numbers(sampled.pixels) == [0, 3, 7, 11, 15, 19]
    np.testing.assert_allclose(sampled.times_sec, [0, 0.3, 0.7, 1.1, 1.5, 1.9], atol=1e-9)


def test_a_short_video_repeats_frames(tmp_path: Path) -> None:
    path = write_media(tmp_path / "film.mp4", grey_frames(3))
    assert numbers(sample_reference_frames(path, 5).pixels) == [0, 0, 1, 1, 2]


def test_a_folder_gives_its_first_pictures_in_order_of_number(tmp_path: Path, caplog) -> None:
    folder = write_pictures(tmp_path / "scene", ["2.jpg", "10.jpg", "0001.jpg", "cover.jpg", "3.png"])
    (folder / "stacked_images.npy").write_bytes(b"not read")
    sampled = sample_reference_frames(folder, 2)
    assert numbers(sampled.pixels) == [2, 0]
    assert sampled.times_sec.tolist() == [0.0, 1.0]
    assert "holds 3 pictures; the first 2 are used" in caplog.text


def test_a_folder_of_too_few_pictures_repeats_the_last(tmp_path: Path, caplog) -> None:
    folder = write_pictures(tmp_path / "scene", ["1.jpg", "2.jpg"])
    sampled = sample_reference_frames(folder, 4)
    assert numbers(sampled.pixels) == [0, 1, 1, 1]
    assert sampled.times_sec.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert "the last one is repeated up to 4" in caplog.text


def test_pictures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "scene", ["1.jpg", "2.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no .jpg pictures named by numbers"):
        sample_reference_frames(tmp_path / "empty", 2)
    Image.new("RGB", (8, 8)).save(folder / "2.jpg")
    with pytest.raises(InputError, match=r"2\.jpg: has another size than 1\.jpg"):
        sample_reference_frames(folder, 2)
    (folder / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2\.jpg: not a whole picture"):
        sample_reference_frames(folder, 2)


def test_a_picture_of_more_pixels_than_can_be_meant_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_pictures(tmp_path / "scene", ["1.jpg"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"1\.jpg: states more than 200 pixels"):
        sample_reference_frames(folder, 1)


@pytest.mark.parametrize("suffix", ["mkv", "nut"])
def test_pictures_that_lean_on_what_was_cut_away_are_no_frames(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / "whole.mkv"
    open_gops = {"x264-params": "keyint=12:min-keyint=12:open-gop=1:bframes=3:scenecut=0:b-adapt=0"}
    with av.open(str(whole), "w") as container:
        stream = container.add_stream("libx264", rate=10, options=open_gops)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for pixels in grey_frames(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    path = tmp_path / f"later.{suffix}"
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        second_key = [number for number, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[second_key:]:
            packet.stream = stream
            container.mux(packet)
    times_sec = frame_times_sec(path)
    assert times_sec[0] == 0 and (np.diff(times_sec) > 0).all()
    first = numbers(frames_at(path, [0.0]).pixels)[0]
    assert numbers(sample_reference_frames(path, 3).pixels)[0] == first
    assert len(times_sec) == len(set(frames_at(path, times_sec).times_sec))


def test_a_video_whose_only_keyframe_is_damaged_is_named(tmp_path: Path) -> None:
    path = write_media(tmp_path / "film.mkv", grey_frames(20))
    content = path.read_bytes()
    inside = content.index(b"\x1f\x43\xb6\x75") + 4
    path.write_bytes(content[:inside] + content[inside + 50 :])
    with pytest.raises(InputError, match=r"film\.mkv: the video has no frames") as error:
        frame_times_sec(path)
    assert "\n" not in str(error.value)


def test_a_cut_video_is_named(tmp_path: Path) -> None:
    path = write_media(tmp_path / "film.mp4", grey_frames(20))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"film\.mp4"):
        sample_reference_frames(path, 4)


def test_squash_is_pillows_bicubic_without_regard_to_aspect() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 50, 3), dtype=np.uint8)
    squashed = squash(pixels, 14)
    assert squashed.shape == (2, 14, 14, 3) and squashed.dtype == np.uint8
    expected = Image.fromarray(pixels[1]).resize((14, 14), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(squashed[1], np.asarray(expected))
    np.testing.assert_array_equal(squash(pixels[:, :, :20], 20), pixels[:, :, :20])
