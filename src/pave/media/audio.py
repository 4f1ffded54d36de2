"""Sound of any media file: one channel, resampled, in bounded pieces, placed on the clock of the video it belongs to.

Zero seconds is the first moment of the picture. A file without pictures keeps its container's zero where that is a
true one (mp4, Matroska); elsewhere (mp3, transport streams) zero is its first sample.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from pave.errors import InputError
from pave.media.container import check_file, open_media, picture_stream, reason, start_sec_of
from pave.media.packets import UNTRUE_AFTER_SEEK, demux
from pave.media.truncation import TRUNCATION_SEC

logger = logging.getLogger(__name__)

PIECE_SEC = 10.0
"""Most sound held at a time while streaming."""

JITTER_SEC = 0.005
"""Frames this far off the running sample count follow on without a gap: containers round times to milliseconds."""

PREROLL_SEC = 1.0
"""Decoded and thrown away before a start in mid-file, so that codecs with memory have settled."""

RESAMPLER_TAIL_SEC = 0.1
"""Read on after the end of a stretch, so that the resampler's last samples do not fade into silence."""

LONGEST_GAP_SEC = 6 * 3600.0
"""Times in a sound track that are further apart are damaged; a gap is filled with silence."""

HIGHEST_RATE = 10_000_000
"""A file that states more samples a second is damaged."""

PLANES_COUNTED = 8
"""From so many channels on PyAV counts more planes than a frame has, and reads beyond its memory."""

UNKNOWN_LENGTH = 1 << 62
"""From here on libsndfile's number of samples means that the header states none, as a stream's."""

SOUNDFILE_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".oga", ".ogg", ".rf64", ".w64", ".wav"})

_told_silent: set[Path] = set()


@dataclass(frozen=True)
class Audio:
    """Sound.

    Args:
        samples: Mono float32 (L,), full scale is -1 to 1.
        sample_rate: Samples a second.
    """

    samples: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class _Block:
    """Consecutive samples (L,) of a file, and the second on the video's clock at which they start."""

    time_sec: float
    samples: np.ndarray
    sample_rate: int


def read_audio(
    path: Path, sample_rate: int, start_sec: float = 0.0, duration_sec: float | None = None, offset_sec: float = 0.0
) -> Audio | None:
    """Return a stretch of a file's sound, or ``None`` if the file has no sound track.

    Args:
        path: A sound file, or a video with a sound track.
        sample_rate: Samples a second to resample to.
        start_sec: Where the stretch starts, on the video's clock; what precedes a late sound track is silence.
        duration_sec: Most seconds to return; by default all to the end of the sound.
        offset_sec: Added to the file's own times: positive where sound recorded apart was started after the picture.

    Raises:
        InputError: If the file is missing, empty, damaged or no sound, or an argument is out of range.
    """
    pieces = stream_audio(path, sample_rate, start_sec, duration_sec, offset_sec)
    if pieces is None:
        return None
    return Audio(np.concatenate([np.zeros(0, np.float32), *pieces]), sample_rate)


def sample_rate_of(path: Path) -> int | None:
    """Return a file's own samples a second, as its header states them; ``None`` if it has no sound track.

    Raises:
        InputError: As :func:`read_audio`.
    """
    path = Path(path)
    check_file(path)
    if _soundfile_reads(path):
        return int(soundfile.info(str(path)).samplerate)
    if not _has_sound(path):
        return None
    with open_media(path) as container:
        return int(_sound_stream(container, path).sample_rate)


def stream_audio(
    path: Path,
    sample_rate: int,
    start_sec: float = 0.0,
    duration_sec: float | None = None,
    offset_sec: float = 0.0,
    first_channel: bool = False,
) -> Iterator[np.ndarray] | None:
    """Return the same samples as :func:`read_audio` as consecutive pieces float32 (L,) of at most ten seconds each.

    Memory stays bounded however long the file is. The arguments and errors are those of :func:`read_audio`; damage
    inside the file is raised when the iteration reaches it. With ``first_channel`` the others are left out instead of
    being mixed in.
    """
    path = Path(path)
    _check_arguments(sample_rate, start_sec, duration_sec, offset_sec)
    check_file(path)
    if _soundfile_reads(path):
        blocks = _soundfile_blocks(path, start_sec - offset_sec, first_channel)
    elif _has_sound(path):
        blocks = _container_blocks(path, start_sec - offset_sec, first_channel)
    else:
        return None
    end_sec = math.inf if duration_sec is None else start_sec + duration_sec
    placed = _placed(blocks, start_sec, end_sec, offset_sec, path)
    most = None if duration_sec is None else round(duration_sec * sample_rate)
    return _limited(_resampled(placed, sample_rate), most)


def _check_arguments(sample_rate: int, start_sec: float, duration_sec: float | None, offset_sec: float) -> None:
    if sample_rate < 1:
        raise InputError(f"sample_rate is {sample_rate}; it must be at least 1 sample a second")
    if not (start_sec >= 0 and math.isfinite(start_sec)):
        raise InputError(f"start_sec is {start_sec}; it must be 0 or more seconds")
    if duration_sec is not None and not (duration_sec > 0 and math.isfinite(duration_sec)):
        raise InputError(f"duration_sec is {duration_sec}; it must be above 0, or None for all")
    if not math.isfinite(offset_sec):
        raise InputError(f"offset_sec is {offset_sec}; it must be a number of seconds")


def _soundfile_reads(path: Path) -> bool:
    if path.suffix.lower() not in SOUNDFILE_SUFFIXES:
        return False
    try:
        return bool(soundfile.info(str(path)).frames < UNKNOWN_LENGTH)
    except soundfile.LibsndfileError:
        return False


def _has_sound(path: Path) -> bool:
    with open_media(path) as container:
        if container.streams.audio:
            return True
    if path not in _told_silent:
        _told_silent.add(path)
        logger.warning("%s: no sound track; its audio channel is absent", path)
    return False


def _sound_stream(container: InputContainer, path: Path) -> AudioStream:
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise InputError(_no_sound(path))
    return stream


def _soundfile_blocks(path: Path, from_sec: float, first_channel: bool) -> Iterator[_Block]:
    with soundfile.SoundFile(str(path)) as file:
        if file.frames == 0:
            raise InputError(_no_sound(path))
        rate = file.samplerate
        _check_rate(rate, path)
        first = min(max(0, math.floor(from_sec * rate)), file.frames)
        try:
            file.seek(first)
            while first < file.frames:
                samples = file.read(round(PIECE_SEC * rate), dtype="float32", always_2d=True)
                if not len(samples):
                    raise InputError(_damaged(path, first / rate, f"the header states {file.frames / rate:.3f} s"))
                yield _Block(first / rate, _mono(samples.T, first_channel), rate)
                first += len(samples)
        except soundfile.LibsndfileError as error:
            raise InputError(_damaged(path, first / rate, error.error_string)) from None


def _no_sound(path: Path) -> str:
    return f"{path}: no sound could be decoded; it is damaged, empty or no sound file, copy or record it again"


def _damaged(path: Path, time_sec: float, why: str) -> str:
    return f"{path}: sound damaged or cut off at {time_sec:.3f} s ({why.rstrip('.')}); repair or copy it again"


def _container_blocks(path: Path, from_sec: float, first_channel: bool) -> Iterator[_Block]:
    with open_media(path) as container:
        stream = _sound_stream(container, path)
        zero_sec = _zero_sec(container, stream)
        from_start = from_sec <= PREROLL_SEC or container.format.name in UNTRUE_AFTER_SEEK
        time_sec = 0.0
        decoded = False
        packers: dict[tuple[str, str, int], av.AudioResampler] = {}
        try:
            if not from_start:
                container.seek(math.floor((zero_sec + from_sec - PREROLL_SEC) / stream.time_base), stream=stream)
            for packet in demux(container, path, stream):
                for frame in packet.decode():
                    _check_rate(frame.sample_rate, path)
                    if frame.pts is not None:
                        time_sec = float(frame.pts * frame.time_base) - zero_sec
                    yield _Block(time_sec, _mono(_samples(frame, packers), first_channel), frame.sample_rate)
                    decoded = True
                    time_sec += frame.samples / frame.sample_rate
        except av.error.FFmpegError as error:
            raise InputError(_damaged(path, time_sec, reason(error))) from None
        if not decoded and from_start:
            raise InputError(_no_sound(path))
        if decoded:
            _check_end(container, time_sec + zero_sec, path)


def _check_rate(rate: int, path: Path) -> None:
    if rate > HIGHEST_RATE:
        raise InputError(f"{path}: states {rate} samples of sound a second; it is damaged, copy or record it again")


def _check_end(container: InputContainer, end_sec: float, path: Path) -> None:
    """Refuse a Matroska file of sound alone that ends before its header says; with pictures, sound may end first."""
    if container.streams.video or container.duration is None or "matroska" not in container.format.name:
        return
    promised_sec = container.duration / av.time_base
    if promised_sec - end_sec > TRUNCATION_SEC:
        raise InputError(_damaged(path, end_sec, f"the header states {promised_sec:.3f} s"))


def _zero_sec(container: InputContainer, stream: AudioStream) -> float:
    """Return what the container's clock shows at zero seconds."""
    pictures = picture_stream(container)
    if pictures is not None:
        return start_sec_of(pictures)
    own_zero = {"mov", "matroska"} & set(container.format.name.split(","))
    return 0.0 if own_zero else start_sec_of(stream)


def _mono(samples: np.ndarray, first_channel: bool) -> np.ndarray:
    """Return the mean of channels (channels, L), or the first one, as float32 (L,)."""
    return samples[0].astype(np.float32) if first_channel else samples.mean(axis=0, dtype=np.float32)


def _samples(frame: AudioFrame, packers: dict[tuple[str, str, int], av.AudioResampler]) -> np.ndarray:
    """Return the samples (channels, L) on a scale of -1 to 1; ``packers`` is a file's own, empty at first."""
    if frame.format.is_planar and frame.layout.nb_channels >= PLANES_COUNTED:
        kind = frame.format.packed.name, frame.layout.name, frame.sample_rate
        if kind not in packers:
            packers[kind] = av.AudioResampler(*kind)
        [frame] = packers[kind].resample(frame)
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(frame.samples, -1).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    return samples


def _placed(
    blocks: Iterator[_Block], start_sec: float, end_sec: float, offset_sec: float, path: Path
) -> Iterator[_Block]:
    """Turn timed blocks into consecutive ones from ``start_sec`` to ``end_sec``: silence in gaps, overlaps cut."""
    reached = 0
    rate = 0
    heard_sec = max(0.0, start_sec - offset_sec)
    for block in blocks:
        if rate and block.sample_rate != rate:
            raise InputError(
                f"{path}: the sample rate changes from {rate} to {block.sample_rate} Hz at {block.time_sec:.3f} s; "
                "convert the sound to one rate"
            )
        rate = block.sample_rate
        if block.time_sec - heard_sec > LONGEST_GAP_SEC:
            raise InputError(_damaged(path, heard_sec, f"the next sound is timed {block.time_sec:.3f} s"))
        heard_sec = block.time_sec + len(block.samples) / rate
        first = round((block.time_sec + offset_sec - start_sec) * rate)
        if first + len(block.samples) <= 0:
            continue
        if reached and abs(first - reached) <= JITTER_SEC * rate:
            first = reached
        for silence in _silences(first - reached, rate):
            yield _Block(start_sec + reached / rate, silence, rate)
            reached += len(silence)
            if start_sec + reached / rate > end_sec:
                return
        samples = block.samples[max(0, reached - first) :]
        if len(samples):
            yield _Block(start_sec + reached / rate, samples, rate)
            reached += len(samples)
        if start_sec + reached / rate > end_sec + RESAMPLER_TAIL_SEC:
            return


def _silences(length: int, rate: int) -> Iterator[np.ndarray]:
    size = round(PIECE_SEC * rate)
    for done in range(0, length, size):
        yield np.zeros(min(size, length - done), np.float32)


def _resampled(blocks: Iterator[_Block], sample_rate: int) -> Iterator[np.ndarray]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    done = 0
    for block in blocks:
        if block.sample_rate == sample_rate:
            yield block.samples
            continue
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.samples[None]), format="flt", layout="mono")
        frame.sample_rate, frame.pts = block.sample_rate, done
        done += len(block.samples)
        yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))
    if done:
        yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(None))


def _limited(pieces: Iterator[np.ndarray], most: int | None) -> Iterator[np.ndarray]:
    given = 0
    for piece in pieces:
        if most is not None and given + len(piece) >= most:
            yield piece[: most - given]
            return
        given += len(piece)
        yield piece
