"""Side channels of samples: each file through the encoder of its channel, and a count of what is absent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pave import encoders
from pave.data.disturbance import Disturbance, Disturber
from pave.data.processor import load_base_processor
from pave.data.store import FeatureStore
from pave.data.store_keys import about_side
from pave.data.stored import side_item, side_of, stored
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample, SideChannel

if TYPE_CHECKING:
    from pave.encoders.base import Encoder

logger = logging.getLogger(__name__)


class SideReader:
    """Reads the side channels that a model's patches ask for.

    Args:
        encoders: Channel to encoder; other channels of a sample are left alone.
        store: Where side channels are looked for, and kept once they are made.
    """

    def __init__(self, encoders: Mapping[str, Encoder[Any]], store: FeatureStore | None = None) -> None:
        self.encoders = dict(encoders)
        self.store = store
        self.disturber: Disturber | None = None
        self.silent: dict[str, set[Path]] = {channel: set() for channel in self.encoders}

    @classmethod
    def from_model(cls, model: PaveModel, training: bool = False, store: FeatureStore | None = None) -> SideReader:
        """Build the encoders that a model's patches were made with.

        Args:
            model: The model.
            training: Whether what they make is trained on.
            store: Where side channels are looked for, and kept once they are made.

        Raises:
            InputError: If a patch does not say which encoder it needs, two disagree about one channel, or a patch that
                aligns by time reads a channel without times.
        """
        built: dict[str, Encoder[Any]] = {}
        settings: dict[str, dict[str, object]] = {}
        for name, spec in model.specs.items():
            if spec.patch is None:
                continue
            channel = spec.patch.channel
            preprocessing = model.preprocessing.get(name)
            if preprocessing is None or preprocessing.encoder is None:
                raise InputError(
                    f"patch {name!r} does not say which encoder makes channel {channel!r}; give preprocessing.encoder"
                )
            if settings.setdefault(channel, preprocessing.encoder) != preprocessing.encoder:
                raise InputError(f"two patches read channel {channel!r} through different encoders; use one of them")
            if channel not in built:
                built[channel] = encoders.build(preprocessing.encoder)
                built[channel].training = training
            if built[channel].numbers_steps and spec.patch.reads_times:
                raise InputError(
                    f"patch {name!r} goes by seconds, but the encoder of channel {channel!r} numbers "
                    "its steps; set 'times: seconds' there"
                )
        attach_tower(model, built.values())
        return cls(built, store)

    @property
    def channels(self) -> list[str]:
        """Channels that are read."""
        return list(self.encoders)

    def encode(self, channel: str, path: Path, video: Path | None = None) -> SideChannel | None:
        """Return the side channel of one file, ``None`` if the file has no such signal (said once a channel).

        Args:
            channel: The channel.
            path: The file.
            video: The video that it belongs to; some files are timed by it.

        Raises:
            InputError: If the file cannot be used.
        """
        if self.store is None or not self.is_stored(channel):
            signal = self.make(channel, path, video)
        else:
            about = about_side(self.encoders[channel], path, video)
            item = stored(self.store, about, path, lambda: side_item(self.make(channel, path, video), about))
            signal = side_of(item)
        self.note(channel, path, signal)
        return signal

    def note(self, channel: str, path: Path, signal: SideChannel | None) -> None:
        """Count a file that has no such signal, and say so of the first one."""
        if signal is None:
            if not self.silent[channel]:
                logger.warning("%s: holds no %s; such samples run without that channel", path, channel)
            self.silent[channel].add(path)

    def make(self, channel: str, path: Path, video: Path | None) -> SideChannel | None:
        """Run a channel's encoder on a file, whatever the store holds.

        Raises:
            InputError: If the file cannot be used.
        """
        encoder = self.encoders[channel]
        return encoder.encode(path, video) if self.needs_video(channel) else encoder.encode(path)

    def is_stored(self, channel: str) -> bool:
        """Whether a channel can be kept in a store: the same each time, and not merely read."""
        encoder = self.encoders[channel]
        return not encoder.draws and not encoder.only_reads

    def needs_video(self, channel: str) -> bool:
        """Whether the times of a channel's files are taken from their videos."""
        return self.encoders[channel].needs_video

    def read(self, sample: Sample) -> dict[str, SideChannel | None]:
        """Return every channel of a sample; ``None`` where its line names no file or the file has no such signal."""
        return {
            channel: None if (path := sample.side.get(channel)) is None else self.encode(channel, path, sample.video)
            for channel in self.encoders
        }

    def disturb(self, disturbance: Disturbance, seed: int, training: bool) -> None:
        """Disturb every side channel from now on, whatever is kept of it.

        Args:
            disturbance: What is done; nothing by default.
            seed: Of what is drawn.
            training: Draw anew for each use of a sample.

        Raises:
            InputError: If the steps of a channel are numbered, not timed.
        """
        if disturbance == Disturbance():
            return
        numbered = [name for name, encoder in self.encoders.items() if encoder.numbers_steps]
        if numbered:
            raise InputError(f"the encoder of channel {numbered[0]!r} numbers its steps; a disturbance needs seconds")
        self.disturber = Disturber(disturbance, seed, training)

    def seen(self, sample: Sample, side: Mapping[str, SideChannel | None], draw: int) -> dict[str, SideChannel | None]:
        """Return what one use of a sample sees of its side channels: thinned in training, and disturbed.

        Args:
            sample: The sample.
            side: Its side channels.
            draw: Number of the use, which decides what encoders that draw let through.
        """
        return {
            channel: None if signal is None else self._seen(channel, signal, sample, draw)
            for channel, signal in side.items()
        }

    def _seen(self, channel: str, signal: SideChannel, sample: Sample, draw: int) -> SideChannel:
        encoder = self.encoders[channel]
        if encoder.thins:
            signal = encoder.thin(signal, sample.side[channel], sample.video, draw)
        return signal if self.disturber is None else self.disturber(channel, signal, sample, draw)


def attach_tower(model: PaveModel, made: Iterable[Encoder[Any]]) -> None:
    """Give the tower of a model's base to those encoders that need it."""
    askers = [encoder for encoder in made if encoder.needs_tower]
    if askers:
        tower = model.family.tower(model.base, load_base_processor(model).video_processor)
        for encoder in askers:
            encoder.attach(tower)
