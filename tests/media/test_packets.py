"""Clocks that jump are refused, tracks that begin late are named, and an AVI's pictures begin at zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pave.errors import InputError
from pave.media.audio import read_audio
from pave.media.reference_frames import frame_times_sec
from pave.media.video import frames_at, probe, sample_frames
from tests.media.writing import click, grey_frames, grey_levels, write_avi, write_media


def recording(path: Path, first_sec: float = 0.0) -> bytes:
    """Write two seconds, with the click half a second in, whose clock begins at ``first_sec``."""
    mpeg = path.suffix == ".mpg"
    write_media(
        path,
        grey_frames(50 if mpeg else 20),
        frame_times_sec=None if mpeg else first_sec + np.arange(20) / 10,
        fps=25 if mpeg else 10,
        video_codec="mpeg2video" if mpeg else "libx264",
        sound=click(0.5, 2.0, 48_000),
        sample_rate=48_000,
        audio_codec="mp2" if mpeg else "aac",
        sound_start_sec=first_sec,
    )
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "second_sec", "says"),
    [
        ("back.ts", 0.0, r"back.ts: its clock jumps from 1.\d+ to 0.\d+ s, as if recordings were joined"),
        ("ahead.ts", 100.0, r"its clock jumps from 2.\d+ to 99.\d+ s, .* put it into an mp4 first"),
        ("back.mpg", 0.0, r"its clock jumps from 2.\d+ to 0.\d+ s"),
    ],
)
def test_joined_recordings_are_refused(tmp_path: Path, name: str, second_sec: float, says: str) -> None:
    path = tmp_path / name
    joined = recording(path) + recording(path, second_sec)
    path.write_bytes(joined)
    for use in (probe, lambda path: frames_at(path, [0.0]), lambda path: read_audio(path, 16_000)):
        with pytest.raises(InputError, match=says) as error:
            use(path)
        assert "\n" not in str(error.value)


def test_recordings_that_go_on_are_one(tmp_path: Path) -> None:
    path = tmp_path / "on.ts"
    path.write_bytes(recording(path, 1.0) + recording(path, 3.0))
    assert probe(path).duration_sec == pytest.approx(4.0)
    assert frames_at(path, [2.5]).times_sec == pytest.approx([2.5])


def test_a_track_that_begins_in_mid_file_is_named(tmp_path: Path) -> None:
    path = write_media(tmp_path / "late.flv", grey_frames(60), sound=click(0.5, 6.0, 16_000))
    content = bytearray(path.read_bytes())
    place, last = 13, 0
    while place < len(content):
        length = int.from_bytes(content[place + 1 : place + 4], "big")
        # A tag of sound, and not the one of two bytes that tells how to decode the others.
        last = place if content[place] == 8 and length > 4 else last
        place += 11 + length + 4
    # Its first byte tells the codec; that of MP3 is of another track than all before it.
    content[last + 11] = 0x22
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"late.flv: a track begins in mid-file; put it into an mp4 first"):
        read_audio(path, 16_000)
    with pytest.raises(InputError, match=r"late.flv: a track begins in mid-file; put it into an mp4 first"):
        frame_times_sec(path)


@pytest.mark.parametrize(("codec", "held_back"), [("libx264", 2), ("mpeg4", 2), ("mpeg4", 0)])
def test_an_avi_begins_with_its_first_picture(tmp_path: Path, codec: str, held_back: int) -> None:
    path = write_avi(tmp_path / "clip.avi", grey_frames(20), codec, held_back)
    assert probe(path).duration_sec == pytest.approx(2.0)
    for frames in (frames_at(path, [0.0, 0.3, 1.25, 1.9]), frames_at(path, [1.9, 1.25, 0.3, 0.0])):
        levels = frames.pixels.mean(axis=(1, 2, 3))
        assert levels == pytest.approx(grey_levels(20)[np.round(frames.times_sec * 10).astype(int)], abs=4)
        assert sorted(frames.times_sec) == pytest.approx([0.0, 0.3, 1.2, 1.9])
    assert sample_frames(path, 2).times_sec == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("name", ["clip.mpg", "clip.vob"])
def test_sound_and_length_of_files_that_time_some_packets_only(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_media(
        path,
        grey_frames(100),
        fps=25,
        video_codec="mpeg2video",
        sound=click(2.5, 4.0, 48_000),
        sample_rate=48_000,
        audio_codec="mp2",
    )
    assert probe(path).duration_sec == pytest.approx(4.0)
    late = read_audio(path, 48_000, start_sec=2.0, duration_sec=1.0)
    assert late is not None and len(late.samples) == 48_000
    assert np.flatnonzero(abs(late.samples) > 0.2)[0] / 48_000 == pytest.approx(0.5, abs=0.002)
