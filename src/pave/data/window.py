"""Video tokens and side channels of the samples at hand, for one pass over a set of any size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pave.data.cache import GIGABYTE, signal_bytes, video_bytes
from pave.data.frozen import EncodedVideo, encode_files
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.stored import StoredVideos
from pave.model import PaveModel
from pave.types import Sample, SideChannel


class MediaWindow:
    """Computes media when they are first asked for, and keeps those that were used last.

    Every video is encoded by itself: what is made of it does not depend on where in a set a pass began.

    Args:
        model: The model whose frozen video path is run.
        processor: Its processor.
        reader: Its encoders.
        limit_gb: Memory that is kept, in units of 10^9 bytes.
        videos: A store from which video tokens are taken, and in which new ones are kept, too.
    """

    def __init__(
        self,
        model: PaveModel,
        processor: PaveProcessor,
        reader: SideReader,
        limit_gb: float,
        videos: StoredVideos | None = None,
    ) -> None:
        self.model = model
        self.processor = processor
        self.reader = reader
        self.limit = limit_gb * GIGABYTE
        self.videos = videos
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._size = 0

    def video(self, path: Path) -> EncodedVideo:
        """Return a video without its pixels, and its video tokens.

        Raises:
            InputError: If it cannot be used.
        """
        found: EncodedVideo | None = self._recall(path)
        if found is None:
            found = self._encoded(path)
            self._keep(path, found, video_bytes(found[1]))
        return found

    def side_of(self, sample: Sample, channels: Iterable[str]) -> dict[str, SideChannel | None]:
        """Return the side channels of a sample.

        Raises:
            InputError: If a file cannot be used.
        """
        return {
            channel: None if (path := sample.side.get(channel)) is None else self._side(channel, path, sample.video)
            for channel in channels
        }

    def _side(self, channel: str, path: Path, video: Path | None) -> SideChannel | None:
        if self.reader.encoders[channel].draws:
            return self.reader.encode(channel, path, video)
        key = (channel, path, video if self.reader.needs_video(channel) else None)
        found: tuple[SideChannel | None] | None = self._recall(key)
        if found is None:
            found = (self.reader.encode(channel, path, video),)
            self._keep(key, found, signal_bytes(found[0]))
        return found[0]

    def _encoded(self, path: Path) -> EncodedVideo:
        if self.videos is None:
            return encode_files(self.model, self.processor, [path])[0]
        return self.videos.get(path) or self.videos.make(self.model, self.processor, [path])[0]

    def _recall(self, key: Any) -> Any:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def _keep(self, key: Any, value: Any, size: int) -> None:
        self._kept[key] = value, size
        self._size += size
        while self._size > self.limit and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1][1]
