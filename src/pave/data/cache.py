"""What is frozen is computed once: video tokens and side channels of a data set, in memory or in a feature store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch

from pave.data.frozen import EncodedVideo, encode_prepared
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.data.stored import StoredMedia, StoredVideos
from pave.data.threads import in_order
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample, SideChannel, VideoTokens

logger = logging.getLogger(__name__)

GIGABYTE = 10**9

File = TypeVar("File")


@dataclass
class MediaCache:
    """Video tokens and side channels by file; filled by :func:`fill_cache`.

    Args:
        videos: Video file to the video without its pixels, and its video tokens.
        side: Channel and file to the side channel, ``None`` where the file has no such signal.
        made_with: What decided its content: base, frames, preset, layout, and the encoder of each channel.
    """

    videos: dict[Path, EncodedVideo] = field(default_factory=dict)
    side: dict[tuple[str, Path], SideChannel | None] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)

    def claim(self, settings: Mapping[str, str]) -> None:
        """Note what decides the content from now on.

        Raises:
            InputError: If the content was decided otherwise.
        """
        for name, value in settings.items():
            if self.made_with.setdefault(name, value) != value:
                raise InputError(
                    f"the cache was made with {name} {self.made_with[name]}, not {value}; use another for this model"
                )

    def video(self, path: Path) -> EncodedVideo:
        """Return a video without its pixels, and its video tokens."""
        return self.videos[path]

    def side_of(self, sample: Sample, channels: Iterable[str]) -> dict[str, SideChannel | None]:
        """Return the side channels of a sample."""
        return {
            channel: None if (path := sample.side.get(channel)) is None else self.side[channel, path]
            for channel in channels
        }


def fill_cache(
    cache: MediaCache,
    model: PaveModel,
    processor: PaveProcessor,
    reader: SideReader,
    samples: Sequence[Sample],
    batch_size: int,
    limit_gb: float,
    videos: StoredVideos | None = None,
    threads: int = 0,
) -> None:
    """Compute what a cache lacks for these samples.

    Args:
        cache: The cache.
        model: The model whose frozen video path is run.
        processor: Its processor.
        reader: Its encoders.
        samples: The samples.
        batch_size: Videos encoded in one call.
        limit_gb: Memory that the cache may take, in units of 10^9 bytes.
        videos: A store from which video tokens are taken, and in which new ones are kept, too.
        threads: Threads that decode and encode where nothing is stored; 0 for none beside this one.

    Raises:
        InputError: If a file cannot be used, the cache would outgrow its limit, it was filled for a model whose media
            look otherwise, or a file would not be the same each time.
    """
    cache.claim(_settings(model, processor, reader))
    paths = _distinct(sample.video for sample in samples)
    if _asks_before_projector(model) and any(tokens.vision is None for _, tokens in cache.videos.values()):
        raise InputError("the cache lacks features from before the projector, which a patch asks for; fill a new one")
    budget = _Budget(limit_gb, _size(cache))
    paths = [path for path in paths if path not in cache.videos]
    budget.start(len(paths), "video tokens")
    for path, encoded in _encoded(model, processor, paths, batch_size, videos, threads):
        cache.videos[path] = encoded
        budget.add(video_bytes(encoded[1]))
    for channel in reader.channels:
        files = _files(reader, channel, samples)
        missing = {path: video for path, video in files.items() if (channel, path) not in cache.side}
        _fill_side(cache, reader, channel, missing, budget, threads)


def fill_store(
    model: PaveModel,
    processor: PaveProcessor,
    reader: SideReader,
    samples: Sequence[Sample],
    batch_size: int,
    videos: StoredVideos,
) -> StoredMedia:
    """Compute what a store lacks for these samples, check the rest, and return what a data set reads of it.

    Args:
        model: The model whose frozen video path is run.
        processor: Its processor.
        reader: Its encoders, with the same store.
        samples: The samples.
        batch_size: Videos encoded in one call.
        videos: The video tokens in the store.

    Raises:
        InputError: If a file cannot be used.
        StoreError: If the store cannot be written.
    """
    paths = _distinct(sample.video for sample in samples)
    for _ in _encoded(model, processor, paths, batch_size, videos):
        pass
    for channel in filter(reader.is_stored, reader.channels):
        files = dict.fromkeys((path, sample.video) for sample in samples if (path := sample.side.get(channel)))
        for ((path, video),) in _batches(list(files), 1, f"encoding {channel}", "files"):
            reader.encode(channel, path, video)
    return StoredMedia(videos, reader)


def _encoded(
    model: PaveModel,
    processor: PaveProcessor,
    paths: Sequence[Path],
    batch_size: int,
    videos: StoredVideos | None,
    threads: int = 0,
) -> Iterator[tuple[Path, EncodedVideo]]:
    """Yield the video tokens of files, from the store where it has them."""
    if videos is None:
        # Threads decode the next files while this one runs the tower.
        with closing(in_order(processor.sample, paths, threads)) as decoded:
            for batch in _batches(paths, batch_size, "encoding videos", "videos"):
                prepared = [processor.prepare_video(frames) for frames in islice(decoded, len(batch))]
                yield from zip(batch, encode_prepared(model, processor, prepared), strict=True)
        return
    for batch in _batches(paths, batch_size, "encoding videos", "videos"):
        found = {path: videos.get(path) for path in batch}
        missing = [path for path, encoded in found.items() if encoded is None]
        if missing:
            found |= zip(missing, videos.make(model, processor, missing), strict=True)
        yield from ((path, encoded) for path, encoded in found.items() if encoded is not None)


def _files(reader: SideReader, channel: str, samples: Sequence[Sample]) -> dict[Path, Path | None]:
    """Return each file of a channel, with its video.

    Raises:
        InputError: If a file is timed by its video and stands beside two of them, or the encoder draws at random.
    """
    if reader.encoders[channel].draws:
        raise InputError(f"the encoder of channel {channel!r} draws anew each time; set cache_video_tokens: false")
    files: dict[Path, Path | None] = {}
    for sample in samples:
        path = sample.side.get(channel)
        if path is None:
            continue
        video = files.setdefault(path, sample.video)
        if video != sample.video and reader.needs_video(channel):
            raise InputError(
                f"{sample.source or sample.id}: {path} is timed by its video, but stands beside {video} and "
                f"{sample.video}; give each video a file of its own"
            )
    return files


def _fill_side(
    cache: MediaCache,
    reader: SideReader,
    channel: str,
    files: Mapping[Path, Path | None],
    budget: _Budget,
    threads: int,
) -> None:
    paths = list(files)
    budget.start(len(paths), f"side channels of {channel}")
    silent = 0
    signals = _signals(reader, channel, files, threads)
    for (path,) in _batches(paths, 1, f"encoding {channel}", "files"):
        signal = next(signals)
        cache.side[channel, path] = signal
        silent += signal is None
        budget.add(signal_bytes(signal))
    if silent:
        logger.warning("%d of %d files hold no %s", silent, len(paths), channel)


def _signals(
    reader: SideReader, channel: str, files: Mapping[Path, Path | None], threads: int
) -> Iterator[SideChannel | None]:
    """Yield the side channel of each file."""
    # A store takes one item after the other; an encoder may load its weights with the first file.
    alone = len(files) if reader.store is not None else 1
    rest = list(files.items())[alone:]
    for path, video in list(files.items())[:alone]:
        yield reader.encode(channel, path, video)
    with closing(in_order(lambda file: reader.make(channel, *file), rest, threads)) as made:
        for (path, _), signal in zip(rest, made, strict=True):
            reader.note(channel, path, signal)
            yield signal


def _settings(model: PaveModel, processor: PaveProcessor, reader: SideReader) -> dict[str, str]:
    encoders = {f"encoder of {channel}": str(encoder.config) for channel, encoder in reader.encoders.items()}
    frames = {"frames": str(processor.frames), "preset": processor.preset}
    return {"base": model.record.name, **frames, "layout": processor.layout, **encoders}


def _asks_before_projector(model: PaveModel) -> bool:
    return any(spec.patch is not None and spec.patch.reads_vision for spec in model.specs.values())


class _Budget:
    """Stops a cache as soon as it is clear that it will not fit."""

    def __init__(self, limit_gb: float, held: int) -> None:
        self.limit = limit_gb * GIGABYTE
        self.held = held

    def start(self, items: int, what: str) -> None:
        self.items, self.what = items, what
        self.done, self.before = 0, self.held

    def add(self, size: int) -> None:
        self.held += size
        self.done += 1
        expected = self.before + (self.held - self.before) * self.items / self.done
        if self.held > self.limit or (expected > self.limit and self.done >= self.items / 10):
            raise InputError(
                f"{self.what} of {self.items} files would take about {expected / GIGABYTE:.3g} GB of memory, "
                f"above the limit of {self.limit / GIGABYTE:.3g} GB; raise the limit, or do not cache them"
            )


def _batches(files: Sequence[File], size: int, description: str, unit: str) -> Iterator[Sequence[File]]:
    with progress_bar(unit) as bar:
        task = bar.add_task(description, total=len(files), note="")
        for start in range(0, len(files), size):
            batch = files[start : start + size]
            yield batch
            bar.advance(task, len(batch))


def _distinct(paths: Iterable[Path | None]) -> list[Path]:
    return list(dict.fromkeys(path for path in paths if path is not None))


def _bytes(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()


def video_bytes(video: VideoTokens) -> int:
    """Return the memory that video tokens take, in bytes."""
    return sum(map(_bytes, (video.tokens, video.vision, video.tail, *video.kept.values())))


def signal_bytes(signal: SideChannel | None) -> int:
    """Return the memory that a side channel takes, in bytes."""
    return 0 if signal is None else _bytes(signal.values)


def _size(cache: MediaCache) -> int:
    held = sum(video_bytes(tokens) for _, tokens in cache.videos.values())
    return held + sum(map(signal_bytes, cache.side.values()))
