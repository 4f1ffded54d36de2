"""A torch data set over samples that reads media when it is asked, and keeps nothing heavy."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch.utils.data import Dataset

from pave.data.cache import MediaCache
from pave.data.features import Features, Turns
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.data.stored import StoredMedia
from pave.errors import InputError
from pave.types import Sample

logger = logging.getLogger(__name__)


class SampleDataset(Dataset[Features]):
    """Samples as features, made one by one.

    Conversations are tokenised once, before videos widen them; media come from the cache or store if there is
    one, and are otherwise read anew each time.

    Args:
        samples: The samples.
        processor: The processor of the model that they are for.
        reader: The encoders of its side channels.
        answer: Whether answers are kept and marked, to learn them; otherwise samples end where one is to be generated.
        cache: Video tokens and side channels of all the samples, in memory or in a store.

    Raises:
        InputError: If a conversation cannot be used; the message starts with its file and line.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        processor: PaveProcessor,
        reader: SideReader,
        answer: bool,
        cache: MediaCache | StoredMedia | None = None,
    ) -> None:
        self.samples = samples
        self.processor = processor
        self.reader = reader
        self.cache = cache
        self._tell_lone_side()
        with progress_bar("samples") as bar:
            task = bar.add_task("tokenising", total=len(samples), note="")
            self._turns = []
            for sample in samples:
                self._turns.append(self._tokenised(sample, answer))
                bar.advance(task)

    def _tell_lone_side(self) -> None:
        """Say how many samples have channels that nothing reads, since patches act on the tokens of a video."""
        lone = [
            sample
            for sample in self.samples
            if sample.video is None and any(sample.side.get(channel) for channel in self.reader.channels)
        ]
        if lone:
            logger.warning(
                "%d of %d samples name side media but no video, first %s; patches do nothing on them",
                len(lone),
                len(self.samples),
                lone[0].source or lone[0].id,
            )

    def _tokenised(self, sample: Sample, answer: bool) -> Turns:
        try:
            return self.processor.tokenise(sample.messages, sample.video is not None, answer)
        except InputError as error:
            raise InputError(f"{sample.source or sample.id}: {error}") from None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Features:
        return self.item(index, index)

    def item(self, index: int, draw: int) -> Features:
        """Return a sample.

        Args:
            index: Its number.
            draw: Number of this use of it, which decides what encoders that draw let through in training.
        """
        sample, turns = self.samples[index], self._turns[index]
        if sample.video is None:
            return self.processor.features(turns)
        if self.cache is None:
            video, encoded = self.processor.read_video(sample.video), None
            side = self.reader.read(sample)
        else:
            video, encoded = self.cache.video(sample.video)
            side = self.cache.side_of(sample, self.reader.channels)
        return self.processor.features(turns, video, self.reader.seen(sample, side, draw), encoded)
