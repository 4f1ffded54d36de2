from __future__ import annotations

import logging

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pave.errors import InputError
from pave.media.audio import PIECE_SEC, read_audio, sample_rate_of, stream_audio
from tests.media.writing import click, grey_frames, write_media

CLICK_SEC = 3.2
TOLERANCE_SEC = 0.002


def onset_sec(samples: np.ndarray, sample_rate: int) -> float:
    return np.flatnonzero(np.abs(samples) > 0.2)[0] / sample_rate


TRACKS = [
    ("mp4", "aac", 8_000),
    ("mp4", "aac", 16_000),
    ("mp4", "aac", 44_100),
    ("mp4", "aac", 48_000),
    ("mp4", "libmp3lame", 44_100),
    ("mp4", "libopus", 48_000),
    ("mov", "pcm_s16le", 44_100),
    ("mkv", "aac", 44_100),
    ("mkv", "libopus", 16_000),
    ("mkv", "libmp3lame", 48_000),
    ("mkv", "pcm_s16le", 8_000),
    ("mkv", "flac", 44_100),
    ("webm", "libopus", 48_000),
    ("ts", "aac", 44_100),
]


@pytest.mark.parametrize("delay_sec", [0.0, 0.7])
@pytest.mark.parametrize(("container", "codec", "rate"), TRACKS)
def test_a_click_stays_at_its_second_on_the_videos_clock(tmp_path, container, codec, rate, delay_sec):
    path = write_media(
        tmp_path / f"film.{container}",
        grey_frames(50, 16, 16),
        video_codec="libvpx-vp9" if container == "webm" else "libx264",
        sound=click(CLICK_SEC - delay_sec, 5 - delay_sec, rate, channels=2),
        sample_rate=rate,
        audio_codec=codec,
        sound_start_sec=delay_sec,
    )

    for sample_rate in (16_000, 22_050, 48_000):
        whole = read_audio(path, sample_rate)
        part = read_audio(path, sample_rate, start_sec=3.0, duration_sec=1.0)

        assert onset_sec(whole.samples, sample_rate) == pytest.approx(CLICK_SEC, abs=TOLERANCE_SEC)
        assert onset_sec(part.samples, sample_rate) == pytest.approx(CLICK_SEC - 3.0, abs=TOLERANCE_SEC)
        assert len(part.samples) == sample_rate
        assert whole.samples.dtype == np.float32 and whole.sample_rate == sample_rate
        assert not whole.samples[: int(max(0, delay_sec - 0.05) * sample_rate)].any(), (
            "silence where the track starts late"
        )


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 44_100),
        ("a.wav", "pcm_u8", 8_000),
        ("a.wav", "pcm_f32le", 16_000),
        ("a.flac", "flac", 48_000),
        ("a.ogg", "libopus", 48_000),
        ("a.opus", "libopus", 16_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 44_100),
        ("a.mka", "libopus", 48_000),
    ],
)
def test_files_of_sound_alone(tmp_path, name, codec, rate):
    path = write_media(tmp_path / name, sound=click(CLICK_SEC, 5, rate, 2), sample_rate=rate, audio_codec=codec)

    whole = read_audio(path, 16_000)
    part = read_audio(path, 16_000, start_sec=3.0, duration_sec=1.0)

    assert onset_sec(whole.samples, 16_000) == pytest.approx(CLICK_SEC, abs=TOLERANCE_SEC)
    assert onset_sec(part.samples, 16_000) == pytest.approx(CLICK_SEC - 3.0, abs=TOLERANCE_SEC)
    assert len(whole.samples) / 16_000 == pytest.approx(5.0, abs=0.15)


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
@pytest.mark.parametrize("offset_sec", [1.25, -1.25])
def test_the_offset_of_sound_recorded_apart_is_added_to_its_times(tmp_path, name, offset_sec):
    codec = "pcm_s16le" if name == "a.wav" else "aac"
    path = write_media(tmp_path / name, sound=click(CLICK_SEC, 5, 16_000), audio_codec=codec)

    audio = read_audio(path, 16_000, offset_sec=offset_sec)
    part = read_audio(path, 16_000, start_sec=1.5, duration_sec=4.0, offset_sec=offset_sec)

    assert onset_sec(audio.samples, 16_000) == pytest.approx(CLICK_SEC + offset_sec, abs=TOLERANCE_SEC)
    assert onset_sec(part.samples, 16_000) == pytest.approx(CLICK_SEC + offset_sec - 1.5, abs=TOLERANCE_SEC)


def test_sound_before_the_first_picture_is_before_zero(tmp_path):
    path = write_media(
        tmp_path / "late.mkv", grey_frames(40), np.arange(40) / 10 + 1.0, sound=click(CLICK_SEC, 5, 16_000)
    )

    assert onset_sec(read_audio(path, 16_000).samples, 16_000) == pytest.approx(CLICK_SEC - 1.0, abs=TOLERANCE_SEC)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start_sec=st.floats(0, 3), duration_sec=st.floats(0.01, 2), suffix=st.sampled_from(["wav", "mkv"]))
def test_a_stretch_is_that_part_of_the_whole(tmp_path, start_sec, duration_sec, suffix):
    path = tmp_path / f"noise.{suffix}"
    if not path.exists():
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 4 * 8_000)).astype(np.float32)
        write_media(path, sound=sound, sample_rate=8_000, audio_codec="pcm_s16le")
    whole = read_audio(path, 8_000).samples

    part = read_audio(path, 8_000, start_sec, duration_sec).samples

    first = round(start_sec * 8_000)
    expected = whole[first : first + round(duration_sec * 8_000)]
    assert len(part) == len(expected)
    assert np.array_equal(part, expected) or suffix == "mkv"
    if suffix == "mkv":
        # Matroska times are whole milliseconds: a stretch may sit up to one of them beside the whole.
        shifts = [np.abs(part[9:-9] - expected[9 + k : len(expected) - 9 + k]).max(initial=0) for k in range(-9, 10)]
        assert len(part) < 30 or min(shifts) < 1e-4


def test_channels_are_averaged_and_full_scale_is_one(tmp_path):
    sound = np.stack([np.full(16_000, 0.5), np.full(16_000, -0.25)]).astype(np.float32)
    for name, codec in [("a.wav", "pcm_s16le"), ("a.mkv", "pcm_s16le"), ("a.mov", "pcm_s32le"), ("b.mkv", "pcm_u8")]:
        path = write_media(tmp_path / name, sound=sound, audio_codec=codec)
        assert read_audio(path, 16_000).samples == pytest.approx(np.full(16_000, 0.125), abs=0.01)


@pytest.mark.parametrize("name", ["ten.wav", "ten.sound"])
def test_ten_channels(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, click(CLICK_SEC, 5, 8_000, channels=10).T, 8_000, format="WAV")

    assert onset_sec(read_audio(path, 16_000).samples, 16_000) == pytest.approx(CLICK_SEC, abs=TOLERANCE_SEC)


@pytest.mark.parametrize(("name", "channels"), [("a.m4a", 8), ("a.ts", 8), ("vorbis.sound", 8), ("vorbis.sound", 12)])
def test_many_channels_are_heard_when_two_are(tmp_path, name, channels):
    onsets = []
    for count in (2, channels):
        path = tmp_path / name
        sound = click(CLICK_SEC, 5, 48_000, count)
        if path.suffix == ".sound":
            soundfile.write(path, sound.T, 48_000, format="OGG", subtype="VORBIS")
        else:
            write_media(path, sound=sound, sample_rate=48_000)
        part = read_audio(path, 16_000, start_sec=3.0, duration_sec=1.0)
        assert len(part.samples) == 16_000
        onsets.append([onset_sec(read_audio(path, 16_000).samples, 16_000), onset_sec(part.samples, 16_000)])

    assert onsets[1] == pytest.approx(onsets[0], abs=TOLERANCE_SEC)


@pytest.mark.parametrize("name", ["a.wav", "a.w64", "wave.sound"])
def test_a_sample_rate_that_cannot_be_meant(tmp_path, name):
    path = write_media(
        tmp_path / f"a.{'w64' if name == 'a.w64' else 'wav'}", sound=click(0.5, 1, 16_000), audio_codec="pcm_s16le"
    )
    content = path.read_bytes().replace((16_000).to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "little"), 1)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=r"states 2147483647 samples of sound a second"):
        read_audio(tmp_path / name, 16_000)


def test_a_gap_within_a_track_is_silence(tmp_path):
    pieces = [
        write_media(tmp_path / f"{i}.ts", sound=click(0.5, 1, 16_000), sound_start_sec=0.5 + i * 3.0) for i in (0, 1)
    ]
    path = tmp_path / "gap.ts"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))

    samples = read_audio(path, 16_000).samples

    loud = np.flatnonzero(np.abs(samples) > 0.2) / 16_000
    assert loud[-1] - loud[0] == pytest.approx(3.0, abs=0.01)
    assert not samples[int(1.2 * 16_000) : int(2.8 * 16_000)].any()


def test_no_track_is_none_and_said_once(tmp_path, caplog):
    path = write_media(tmp_path / "silent.mp4", grey_frames(10))

    with caplog.at_level(logging.WARNING):
        assert read_audio(path, 16_000) is None
        assert stream_audio(path, 16_000) is None

    assert [record.message for record in caplog.records] == [
        f"{path}: no sound track; its audio channel is absent",
    ]


def test_a_stretch_after_the_end_is_empty(tmp_path):
    for name, codec in [("a.wav", "pcm_s16le"), ("a.mp4", "aac"), ("a.mka", "aac"), ("a.mp3", "libmp3lame")]:
        path = write_media(tmp_path / name, sound=click(1, 2, 16_000), audio_codec=codec)
        assert len(read_audio(path, 16_000, start_sec=60.0).samples) == 0


@pytest.mark.parametrize(("name", "codec"), [("long.wav", "pcm_s16le"), ("long.m4a", "aac")])
def test_a_long_file_comes_in_small_pieces(tmp_path, name, codec):
    sound = np.zeros((1, 10 * 60 * 8_000), np.float32)
    path = write_media(tmp_path / name, sound=sound, sample_rate=8_000, audio_codec=codec)

    sizes = [len(piece) for piece in stream_audio(path, 16_000)]

    assert sum(sizes) == pytest.approx(10 * 60 * 16_000, rel=1e-3)
    assert max(sizes) <= PIECE_SEC * 16_000 + 1_000


def test_a_track_that_starts_hours_late_stays_in_small_pieces(tmp_path):
    path = write_media(
        tmp_path / "late.wav", sound=np.ones((1, 800), np.float32), sample_rate=800, audio_codec="pcm_s16le"
    )

    sizes = [len(piece) for piece in stream_audio(path, 800, offset_sec=36_000.0)]

    assert sum(sizes) == 36_001 * 800
    assert max(sizes) <= PIECE_SEC * 800


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.wav", b"", "0 bytes"),
        ("a.wav", np.random.default_rng(0).bytes(5_000), "not a media file|no sound"),
        ("a.mp3", b"words, only words. " * 200, "not a media file|no sound"),
        ("a.txt", b"line\n" * 200, "plain text"),
        ("a.flac", b"fLaC" + bytes(3_000), "not a media file|no sound"),
    ],
)
def test_files_that_are_no_sound(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputError, match=says) as error:
        read_audio(path, 16_000)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_a_header_without_samples(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_audio(tmp_path / "none.wav", 16_000)
    soundfile.write(tmp_path / "hollow.wav", np.zeros(0), 16_000)
    with pytest.raises(InputError, match=r"hollow\.wav: no sound could be decoded"):
        read_audio(tmp_path / "hollow.wav", 16_000)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.m4a", "aac"), ("a.mka", "libopus"), ("a.flac", "flac")]
)
def test_cut_files_are_refused(tmp_path, name, codec):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5 * 16_000)).astype(np.float32)
    path = write_media(tmp_path / name, sound=sound, audio_codec=codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])

    with pytest.raises(InputError, match="cut off|damaged"):
        read_audio(path, 16_000)


def test_damage_in_the_middle_is_named_by_its_second(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5 * 16_000)).astype(np.float32)
    path = write_media(tmp_path / "a.mp3", sound=sound, audio_codec="libmp3lame")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"a\.mp3: sound damaged or cut off at [23]\.\d{3} s"):
        read_audio(path, 16_000)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sample_rate": 0},
        {"start_sec": -1.0},
        {"start_sec": np.nan},
        {"duration_sec": 0.0},
        {"duration_sec": np.inf},
        {"offset_sec": np.nan},
    ],
)
def test_arguments_out_of_range(tmp_path, arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        read_audio(tmp_path / "any.wav", **{"sample_rate": 16_000, **arguments})


@pytest.mark.parametrize("name", ["two.wav", "two.mkv"])
def test_the_first_channel_alone_at_its_own_rate(tmp_path, name):
    sound = np.stack([np.full(11_025, 0.25, np.float32), np.full(11_025, -0.75, np.float32)])
    path = write_media(tmp_path / name, sound=sound, sample_rate=11_025, audio_codec="pcm_s16le")

    rate = sample_rate_of(path)
    alone = np.concatenate(list(stream_audio(path, rate, first_channel=True)))

    assert rate == 11_025
    assert alone.dtype == np.float32 and alone == pytest.approx(np.full(11_025, 0.25), abs=1e-4)
    assert read_audio(path, rate).samples == pytest.approx(np.full(11_025, -0.25), abs=1e-4)


def test_no_sound_track_has_no_rate(tmp_path):
    assert sample_rate_of(write_media(tmp_path / "silent.mp4", grey_frames(5))) is None


def test_a_streamed_flac_whose_header_states_no_length(tmp_path):
    path = tmp_path / "streamed.flac"
    soundfile.write(path, click(1.5, 2.0, 16_000)[0], 16_000)
    content = bytearray(path.read_bytes())
    # The last 36 bits before the checksum of the samples hold their number; 0 stands for "not known".
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    audio = read_audio(path, 16_000)
    assert len(audio.samples) == 32_000 and onset_sec(audio.samples, 16_000) == pytest.approx(1.5, abs=0.001)


def test_a_flac_whose_first_samples_are_damaged(tmp_path):
    path = write_media(tmp_path / "hole.flac", sound=click(0.5, 1.2, 16_000), audio_codec="flac")
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xf8")
    content[frame : frame + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"hole.flac: sound damaged or cut off at 0.000 s") as error:
        read_audio(path, 16_000)
    assert "\n" not in str(error.value)


def test_times_that_cannot_be_meant_are_damage(tmp_path):
    path = write_media(tmp_path / "a.mka", sound=click(0.5, 1, 16_000), sound_start_sec=1e6, audio_codec="pcm_s16le")
    with pytest.raises(
        InputError, match=r"a.mka: sound damaged .* at 0.000 s \(the next sound is timed 1000000.000 s\)"
    ):
        read_audio(path, 16_000)


def test_sound_without_a_decoder_is_said(tmp_path):
    path = write_media(tmp_path / "a.mka", sound=click(1, 2, 16_000))
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    for read in (lambda: read_audio(path, 16_000), lambda: sample_rate_of(path)):
        with pytest.raises(InputError, match=r"a.mka: no sound could be decoded"):
            read()
