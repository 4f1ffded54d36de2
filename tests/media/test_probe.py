from __future__ import annotations

from unittest.mock import Mock

import av
import numpy as np
import pytest

from pave.errors import InputError
from pave.media.reference_frames import sample_reference_frames
from pave.media.video import frames_at, probe
from tests.media.writing import click, grey_frames, write_media


def test_what_a_file_holds(tmp_path):
    path = write_media(tmp_path / "a.mp4", grey_frames(25), fps=10, sound=click(1, 4, 16_000))

    info = probe(path)

    assert (info.width, info.height, info.frames, info.has_audio) == (48, 32, 25, True)
    assert info.duration_sec == pytest.approx(2.5, abs=1e-3), "of the picture; the sound is longer"
    assert info.frame_rate == pytest.approx(10)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_what_containers_without_counts_hold(tmp_path, name):
    info = probe(write_media(tmp_path / name, grey_frames(25), fps=10))

    assert info.frames is None and not info.has_audio
    assert info.duration_sec == pytest.approx(2.5, abs=2e-3)


def test_a_stream_of_unknown_length_is_measured(tmp_path):
    path = write_media(tmp_path / "live.mkv", grey_frames(25), fps=10, options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None

    assert probe(path).duration_sec == pytest.approx(2.5, abs=2e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", ["a.flv", "a.mkv", "a.mp4"])
def test_the_shortest_films_are_measured(tmp_path, name, count):
    path = write_media(tmp_path / name, grey_frames(count), fps=25)

    assert probe(path).duration_sec == pytest.approx(count / 25, abs=2e-3)
    assert len(frames_at(path, np.arange(count) / 25).pixels) == count


def test_the_ticks_of_a_clock_are_no_frame_rate(tmp_path):
    info = probe(write_media(tmp_path / "one.ts", grey_frames(1)))

    assert (info.frame_rate, info.duration_sec) == (25, pytest.approx(0.04)), "of one picture no rate is known"


def test_pictures_without_times_are_said(tmp_path, monkeypatch):
    from pave.media import probe as module

    path = write_media(tmp_path / "a.mkv", grey_frames(5))
    monkeypatch.setattr(module, "_ends_sec", lambda *_: {})
    with pytest.raises(InputError, match=r"a\.mkv: its pictures have no times"):
        probe(path)


def test_where_the_picture_starts_on_the_containers_clock(tmp_path):
    path = write_media(tmp_path / "late.mkv", grey_frames(10), np.arange(10) / 10 + 2.0, sound=click(1, 4, 16_000))

    info = probe(path)

    assert info.start_sec == pytest.approx(2.0, abs=1e-3)
    assert info.duration_sec == pytest.approx(1.0, abs=2e-3)


def test_one_frame_is_decoded_however_long_the_file(tmp_path, monkeypatch):
    from pave.media import probe as module

    path = write_media(tmp_path / "a.mp4", grey_frames(300, 16, 16), fps=10)
    taken = []
    decode = module.decoded_frames
    monkeypatch.setattr(module, "decoded_frames", lambda *a: (taken.append(frame) or frame for frame in decode(*a)))

    assert probe(path).duration_sec == pytest.approx(30)
    assert len(taken) == 1


def _silence(path):
    write_media(path, sound=click(1, 2, 16_000))


def _no_frames(path):
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("none.mp4", lambda path: None, "no such file"),
        ("folder.mp4", lambda path: path.mkdir(), "folder"),
        ("empty.mp4", lambda path: path.touch(), "0 bytes"),
        ("noise.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "not a media file"),
        ("notes.txt", lambda path: path.write_text("one line\n" * 50), "plain text"),
        ("sound.mp4", _silence, "no video stream"),
        ("hollow.avi", _no_frames, "no frames|not a media file"),
    ],
)
def test_files_that_are_no_video(tmp_path, name, make, says):
    path = tmp_path / name
    make(path)

    for use in (probe, lambda path: frames_at(path, [0.0])):
        with pytest.raises(InputError, match=says) as error:
            use(path)
        assert name in str(error.value) and "\n" not in str(error.value)


def test_files_that_cannot_be_read_are_said(tmp_path, monkeypatch):
    path = write_media(tmp_path / "locked.mp4", grey_frames(5))
    long = tmp_path / f"{'long' * 100}.mp4"
    for use in (probe, lambda path: frames_at(path, [0.0]), lambda path: sample_reference_frames(path, 2)):
        with pytest.raises(InputError, match=r"\.mp4: cannot be read \(File name too long\); check the path"):
            use(long)
    monkeypatch.setattr("pave.media.container.check_complete", Mock(side_effect=PermissionError(13, "Not permitted")))
    with pytest.raises(InputError, match=r"locked\.mp4: cannot be read \(Not permitted\); check .* permissions"):
        probe(path)


def test_the_cover_of_an_album_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        track = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture))
        container.mux(cover.encode())
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16_000
        for piece in av.AudioResampler("s16p", "mono", 16_000, 576).resample(sound):
            container.mux(track.encode(piece))
        container.mux(track.encode())

    with pytest.raises(InputError, match="no video stream"):
        probe(path)


@pytest.mark.parametrize("name", ["a.mp4", "start.mp4", "a.mkv", "a.webm", "a.avi", "a.mov"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_cut_files_are_refused(tmp_path, name, kept):
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    options = {"movflags": "faststart"} if name == "start.mp4" else {}
    frames = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 3), dtype=np.uint8)
    path = write_media(tmp_path / name, frames, fps=10, video_codec=codec, options=options)
    content = path.read_bytes()
    if name == "a.mkv" and kept == 0.95:
        kept = 0.9
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(InputError, match="cut off|damaged") as error:
        probe(path)
    assert "\n" not in str(error.value)


def test_a_video_without_a_decoder_is_said(tmp_path):
    path = write_media(tmp_path / "a.mkv", grey_frames(5))
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/X/XYZ"))
    with pytest.raises(
        InputError, match=r"a.mkv: its video is damaged, or of a kind that cannot be decoded; convert it"
    ):
        probe(path)
