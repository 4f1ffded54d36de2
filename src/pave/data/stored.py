"""Side channels and video tokens in a feature store: as items and back, and what a data set reads of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pave.data.features import PreparedVideo
from pave.data.frozen import EncodedVideo, encode_files
from pave.data.processor import PaveProcessor
from pave.data.store import STORE_FILE, FeatureStore, StoreError
from pave.data.store_item import DTYPES, Item, key_of
from pave.data.store_keys import VideoKeys
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample, SideChannel, VideoTokens

if TYPE_CHECKING:
    from pave.data.side import SideReader

ABSENT = "absent"
INPUT, EXPANSION, KEPT = "input.", "expansion.", "kept."


def open_store(folder: Path, model: PaveModel) -> FeatureStore:
    """Open a store, or make one of a model's own float type.

    Raises:
        StoreError: As :class:`pave.data.store.FeatureStore`.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    is_new = not (Path(folder) / STORE_FILE).is_file()
    return FeatureStore(folder, names.get(model.dtype) if is_new else None)  # type: ignore[arg-type]


def side_item(signal: SideChannel | None, about: dict[str, Any]) -> Item:
    """Return a side channel as an item; one that is absent is an item, too, so that nobody looks for it again."""
    if signal is None:
        return Item({}, {ABSENT: torch.ones(1, dtype=torch.uint8)}, about)
    return Item({"values": signal.values}, {"times_sec": signal.times_sec, "grid": torch.tensor(signal.grid)}, about)


def is_absent(item: Item) -> bool:
    """Whether an item says that a file has no such signal."""
    return ABSENT in item.exact


def side_of(item: Item) -> SideChannel | None:
    """Return the side channel of an item, ``None`` if it is absent."""
    if is_absent(item):
        return None
    rows, columns = item.exact["grid"].tolist()
    return SideChannel(item.features["values"], item.exact["times_sec"], (rows, columns))


def video_item(encoded: EncodedVideo, about: dict[str, Any]) -> Item:
    """Return a video and its tokens as an item."""
    video, tokens = encoded
    features = {"tokens": tokens.tokens, "vision": tokens.vision, "tail": tokens.tail}
    features |= {KEPT + name: value for name, value in tokens.kept.items()}
    exact = {
        "frame_times_sec": torch.from_numpy(video.times_sec),
        "step_times_sec": tokens.times_sec,
        "grid": torch.tensor(tokens.grid),
        "pattern": torch.tensor(video.pattern),
        **{INPUT + name: value for name, value in video.inputs.items()},
        **{EXPANSION + name: value for name, value in video.expansion.items()},
    }
    return Item({name: value for name, value in features.items() if value is not None}, exact, about)


def video_of(item: Item) -> EncodedVideo:
    """Return the video and its tokens that an item holds."""
    exact = item.exact
    rows, columns = exact["grid"].tolist()
    video = PreparedVideo(
        inputs=_named(exact, INPUT),
        times_sec=exact["frame_times_sec"].numpy(),
        pattern=tuple(exact["pattern"].tolist()),
        expansion=_named(exact, EXPANSION),
    )
    tokens = VideoTokens(
        tokens=item.features["tokens"],
        vision=item.features.get("vision"),
        tail=item.features["tail"],
        times_sec=exact["step_times_sec"],
        grid=(rows, columns),
        row=-1,
        kept=_named(item.features, KEPT),
    )
    return video, tokens


def stored(store: FeatureStore, about: dict[str, Any], path: Path, make: Callable[[], Item]) -> Item:
    """Return the item of a file from a store, or make it and keep it there.

    Raises:
        InputError: If it cannot be made, or what is made holds NaN; the message names the file.
        StoreError: If the store cannot be written.
    """
    return store.get(key_of(about)) or kept(store, make(), path)


def kept(store: FeatureStore, item: Item, path: Path) -> Item:
    """Put the item of a file into a store, and return it as the store gives it.

    Raises:
        InputError: If it holds NaN; the message names the file.
        StoreError: If the store cannot be written.
    """
    try:
        return store.put(item)
    except StoreError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


class StoredVideos:
    """The video tokens of one model and processor in a store, from before the projector and after it.

    Args:
        store: The store.
        model: The model.
        processor: Its processor.
    """

    def __init__(self, store: FeatureStore, model: PaveModel, processor: PaveProcessor) -> None:
        self.store = store
        self._keys = VideoKeys(model, processor)

    def about(self, path: Path) -> dict[str, Any]:
        """Return what decides the item of a video file."""
        return self._keys.about(path)

    def get(self, path: Path) -> EncodedVideo | None:
        """Return a video and its tokens; ``None`` if they are not in the store, or not sound."""
        item = self.store.get(key_of(self.about(path)))
        return None if item is None else video_of(item)

    def make(self, model: PaveModel, processor: PaveProcessor, paths: Sequence[Path]) -> list[EncodedVideo]:
        """Encode videos in one call, keep them, and return them as the store gives them.

        Raises:
            InputError: If a file cannot be used, or its tokens hold NaN.
            StoreError: If the store cannot be written.
        """
        encoded = encode_files(model, processor, paths, vision=True)
        return [
            video_of(kept(self.store, video_item(video, self.about(path)), path))
            for path, video in zip(paths, encoded, strict=True)
        ]


class StoredMedia:
    """What a data set reads in place of media: video tokens from a store, side channels through a reader of it.

    Args:
        videos: The video tokens, filled before.
        reader: The encoders and their store.
    """

    def __init__(self, videos: StoredVideos, reader: SideReader) -> None:
        self.videos = videos
        self.reader = reader

    def video(self, path: Path) -> EncodedVideo:
        """Return a video and its tokens.

        Raises:
            InputError: If they are not in the store, or not sound any more.
        """
        found = self.videos.get(path)
        if found is None:
            raise InputError(
                f"{path}: its video tokens in {self.videos.store.folder} were lost since the run began; start it again"
            )
        return found

    def side_of(self, sample: Sample, channels: Iterable[str]) -> dict[str, SideChannel | None]:
        """Return the side channels of a sample."""
        read = self.reader.read(sample)
        return {channel: read[channel] for channel in channels}


def _named(tensors: Any, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
