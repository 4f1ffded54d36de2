"""Asks a model questions, batch by batch: what is asked together depends on nothing but the place in the set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pave.bases.family import cast_pixels
from pave.data.collator import Collator
from pave.data.dataset import SampleDataset
from pave.data.features import PreparedVideo
from pave.data.processor import PaveProcessor
from pave.data.progress import progress_bar
from pave.data.side import SideReader
from pave.evaluation.config import EvalSettings
from pave.model import PaveModel
from pave.types import Sample, SideChannel, VideoTokens


class Media(Protocol):
    """What a data set reads in place of files."""

    def video(self, path: Any) -> tuple[PreparedVideo, VideoTokens]:
        """Return a video without its pixels, and its video tokens."""

    def side_of(self, sample: Sample, channels: Any) -> Mapping[str, SideChannel | None]:
        """Return the side channels of a sample."""


@dataclass(frozen=True)
class Asker:
    """A model and all that it takes to ask it.

    Args:
        model: The model.
        processor: Its processor.
        reader: The encoders of its channels.
        settings: What decides the answers beside them.
        media: What samples' media are read from; ``None`` to read files anew for each question.
        base_only: Ask the base alone.
    """

    model: PaveModel
    processor: PaveProcessor
    reader: SideReader
    settings: EvalSettings
    media: Media | None = None
    base_only: bool = False

    @property
    def balanced(self) -> bool:
        """Whether residuals of patches that act together are balanced."""
        return self.settings.balance or self.model.balanced

    @property
    def channels(self) -> list[str]:
        """Side channels that are read."""
        return [] if self.base_only else self.reader.channels

    def prompt(self, sample: Sample) -> str:
        """Return what the model is asked about a sample, before its video widens it, special tokens and all."""
        turns = self.processor.tokenise(sample.messages, sample.video is not None, answer=False)
        text: str = self.processor.base_processor.tokenizer.decode(turns.ids)
        return text


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Args:
        text: Its answer.
        absent: Channels that the sample lacked.
    """

    text: str
    absent: tuple[str, ...] = ()


def is_missing(sample: Sample) -> bool:
    """Whether a medium of a sample lacks, so that it cannot be asked about."""
    return bool(sample.extra.get("missing"))


def replies(asker: Asker, samples: Sequence[Sample], start: int = 0) -> Iterator[Reply]:
    """Ask about samples, greedily, and yield one reply a sample from number ``start`` on.

    Batches are cut at the same places wherever the asking starts, and every video is encoded by itself, so that a
    resumed run says what an unbroken one says. Samples whose media lack are not asked; their reply is empty.

    Args:
        asker: Whom to ask.
        samples: All samples.
        start: Number of the first sample whose reply is wanted.

    Raises:
        InputError: If a medium or a conversation cannot be used.
    """
    size = asker.settings.batch_size
    first = start - start % size
    asked = [sample for sample in samples[first:] if not is_missing(sample)]
    dataset = SampleDataset(asked, asker.processor, asker.reader, answer=False, cache=asker.media)
    collate = asker.processor.collator("left", asker.channels)
    place = 0
    with progress_bar("questions") as bar, _inference(asker):
        task = bar.add_task("answering", total=len(samples), completed=first, note="")
        for begin in range(first, len(samples), size):
            batch = samples[begin : begin + size]
            count = sum(not is_missing(sample) for sample in batch)
            answered = iter(_answers(asker, dataset, range(place, place + count), collate))
            place += count
            said = [Reply("") if is_missing(sample) else next(answered) for sample in batch]
            yield from said[max(start - begin, 0) :]
            bar.advance(task, len(batch))


@contextmanager
def _inference(asker: Asker) -> Iterator[None]:
    training, balanced = asker.model.training, asker.model.balanced
    asker.model.eval()
    asker.model.balanced = asker.balanced
    try:
        yield
    finally:
        asker.model.train(training)
        asker.model.balanced = balanced
        if asker.reader.store is not None:
            asker.reader.store.close()


def _answers(asker: Asker, dataset: SampleDataset, indices: range, collate: Collator) -> list[Reply]:
    if not indices:
        return []
    features = [dataset[index] for index in indices]
    batch = cast_pixels(_moved(collate(features), asker.model.device), asker.model.dtype)
    with asker.model.base_only() if asker.base_only else nullcontext():
        decoding = {"max_new_tokens": asker.settings.max_new_tokens, "do_sample": False, "num_beams": 1}
        ids = asker.model.generate(**batch, **decoding)
    assert isinstance(ids, torch.Tensor)
    texts = asker.processor.decode(ids, batch["input_ids"].shape[1])
    return [
        Reply(text, tuple(channel for channel in collate.channels if sample.side.get(channel) is None))
        for text, sample in zip(texts, features, strict=True)
    ]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _moved(entry, device) for name, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry, device) for entry in value]
    return value.to(device) if hasattr(value, "to") else value
