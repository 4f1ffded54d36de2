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

SideKey = tuple[str, Path, Path | None]


@dataclass
class MediaCache:
    """Video tokens and side channels by file; filled by :func:`fill_cache`.

    Args:
        videos: Video file to the video without its pixels, and its video tokens.
        side: Channel, file, and the video that times it if one does, to the side channel; ``None`` where the file has
            no such signal.
        timed_by_video: Channels whose files are timed by their videos.
        made_with: What decided its content: base, frames, preset, layout, and the encoder of each channel.
    """

    videos: dict[Path, EncodedVideo] = field(default_factory=dict)
    side: dict[SideKey, SideChannel | None] = field(default_factory=dict)
    timed_by_video: set[str] = field(default_factory=set)
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
            channel: None if (key := self.side_key(channel, sample)) is None else self.side[key]
            for channel in channels
        }

    def side_key(self, channel: str, sample: Sample) -> SideKey | None:
        """Return what a sample's side channel is kept by; ``None`` if its line names no file."""
        path = sample.side.get(channel)
        return None if path is None else (channel, path, sample.video if channel in self.timed_by_video else None)


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
    cache.timed_by_video |= set(filter(reader.needs_video, reader.channels))
    for channel in reader.channels:
        if reader.encoders[channel].draws:
            raise InputError(f"the encoder of channel {channel!r} draws anew each time; set cache_video_tokens: false")
        keys = _distinct(cache.side_key(channel, sample) for sample in samples)
        _fill_side(cache, reader, channel, [key for key in keys if key not in cache.side], budget, threads)


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


def _fill_side(
    cache: MediaCache,
    reader: SideReader,
    channel: str,
    keys: Sequence[SideKey],
    budget: _Budget,
    threads: int,
) -> None:
    budget.start(len(keys), f"side channels of {channel}")
    silent = 0
    signals = _signals(reader, keys, threads)
    for (key,) in _batches(keys, 1, f"encoding {channel}", "files"):
        signal = next(signals)
        cache.side[key] = signal
        silent += signal is None
        budget.add(signal_bytes(signal))
    if silent:
        logger.warning("%d of %d files hold no %s", silent, len(keys), channel)


def _signals(reader: SideReader, keys: Sequence[SideKey], threads: int) -> Iterator[SideChannel | None]:
    """Yield the side channel of each file."""
    # A store takes one item after the other; an encoder may load its weights with the first file.
    alone = len(keys) if reader.store is not None else 1
    for key in keys[:alone]:
        yield reader.encode(*key)
    with closing(in_order(lambda key: reader.make(*key), keys[alone:], threads)) as made:
        for (channel, path, _), signal in zip(keys[alone:], made, strict=True):
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


def _distinct(files: Iterable[File | None]) -> list[File]:
    return list(dict.fromkeys(file for file in files if file is not None))


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
