"""Samples to a batch: padded tokens, joined pixels, and one side channel a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pave.bases.family import Family
from pave.data.features import Features
from pave.errors import InputError

IGNORED = -100
"""Label of a token that is not learnt."""


@dataclass(frozen=True)
class Collator:
    """Makes the arguments of :meth:`pave.PaveModel.forward` or ``generate`` from samples.

    Args:
        pad_id: Token id that fills the shorter rows.
        padding_side: ``left`` to generate, ``right`` to train.
        family: The base's, which says how the inputs of several videos share a batch.
        channels: Side channels that the model's patches read; others are left out.
    """

    pad_id: int
    padding_side: Literal["left", "right"]
    family: Family
    channels: Sequence[str] = ()

    def __call__(self, samples: Sequence[Features]) -> dict[str, Any]:
        """Return a batch.

        Videos come in the order of their rows; rows of text only have none. ``side`` maps each channel to one entry a
        video, ``video_times_sec`` holds each video's frame times (F,). Encoded videos stand under ``videos``, in place
        of pixels.

        Raises:
            InputError: If the base cannot take these videos in one batch, or only some of them are encoded.
        """
        batch: dict[str, Any] = self._tokens(samples)
        seen = [sample for sample in samples if sample.video is not None]
        if not seen:
            return batch
        batch |= self._joined([sample.video.inputs for sample in seen if sample.video is not None])
        batch["video_times_sec"] = [sample.video.times_sec for sample in seen if sample.video is not None]
        batch["side"] = {channel: [sample.side.get(channel) for sample in seen] for channel in self.channels}
        encoded = [sample.encoded for sample in seen if sample.encoded is not None]
        if encoded and len(encoded) != len(seen):
            raise InputError("only some videos of the batch are encoded; encode all of them, or none")
        if encoded:
            batch["videos"] = encoded
        return batch

    def _tokens(self, samples: Sequence[Features]) -> dict[str, Tensor]:
        length = max(len(sample.tokens["input_ids"]) for sample in samples)
        names = sorted({name for sample in samples for name in sample.tokens})
        return {name: torch.stack([self._padded(sample, name, length) for sample in samples]) for name in names}

    def _padded(self, sample: Features, name: str, length: int) -> Tensor:
        filler = {"input_ids": self.pad_id, "labels": IGNORED}.get(name, 0)
        values = sample.tokens.get(name)
        if values is None:
            values = torch.full_like(sample.tokens["input_ids"], filler)
        row = values.new_full((length,), filler)
        if self.padding_side == "left":
            row[length - len(values) :] = values
        else:
            row[: len(values)] = values
        return row

    def _joined(self, videos: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
        return {name: self.family.batched(name, [video[name] for video in videos]) for name in videos[0]}
