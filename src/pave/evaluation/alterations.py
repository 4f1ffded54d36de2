"""What a probe does to side channels: silences, moves, swaps them, or puts noise in their place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pave.data import disturbance
from pave.data.features import PreparedVideo
from pave.evaluation.asking import Media, is_missing
from pave.evaluation.metrics import normalised
from pave.evaluation.responses import references_of
from pave.types import Sample, SideChannel, VideoTokens

Change = Callable[[Sample, SideChannel], SideChannel]


@dataclass(frozen=True)
class AlteredMedia:
    """Media whose videos are as they were, and whose side channels are not.

    Args:
        media: The true ones.
        change: What is done to a sample's side channel, if anything is.
        donors: Sample id to the sample whose side channels it is given.
    """

    media: Media
    change: Change | None = None
    donors: Mapping[str, Sample] | None = None

    def video(self, path: Any) -> tuple[PreparedVideo, VideoTokens]:
        """Return a video without its pixels, and its video tokens."""
        return self.media.video(path)

    def side_of(self, sample: Sample, channels: Iterable[str]) -> Mapping[str, SideChannel | None]:
        """Return the altered side channels of a sample; one that is absent stays so."""
        source = sample if self.donors is None else self.donors[sample.id]
        found = self.media.side_of(source, channels)
        if self.change is None:
            return found
        return {name: None if signal is None else self.change(sample, signal) for name, signal in found.items()}


def zeroed(sample: Sample, signal: SideChannel) -> SideChannel:
    """Return a signal of zeros at the same times."""
    return replace(signal, values=torch.zeros_like(signal.values))


def shifted(by_sec: float) -> Change:
    """Return what moves a signal by some seconds; see :func:`pave.data.disturbance.shifted`."""
    return lambda sample, signal: disturbance.shifted(signal, by_sec)


def noise(seed: int) -> Change:
    """Return what puts normal noise in place of a signal, with the mean and spread of each of its features."""

    def change(sample: Sample, signal: SideChannel) -> SideChannel:
        digest = hashlib.sha256(f"{seed} {sample.id}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        values = signal.values.float()
        spread = values.std(dim=(0, 1), correction=0, keepdim=True)
        drawn = torch.randn(values.shape, generator=generator) * spread + values.mean(dim=(0, 1), keepdim=True)
        return replace(signal, values=drawn.to(signal.values.dtype))

    return change


def shuffled_donors(samples: Sequence[Sample], seed: int) -> dict[str, Sample]:
    """Return for each sample one about another clip, drawn without regard to what is asked or answered.

    All samples about one clip get the same donor; without a second clip there are none.
    """
    firsts = {clip: sample for sample in reversed(_with_side(samples)) if (clip := _clip(sample)) is not None}
    clips = list(firsts)
    if len(clips) < 2:
        return {}
    order = [clips[place] for place in np.random.default_rng(seed).permutation(len(clips))]
    following = dict(zip(order, [*order[1:], order[0]], strict=True))
    return {
        sample.id: firsts[following[clip]]
        for sample in _with_side(samples)
        if (clip := _clip(sample)) is not None and clip in following
    }


def same_answer_donors(samples: Sequence[Sample], seed: int) -> dict[str, Sample]:
    """Return for each sample one about another clip that has the same answer, where there is one."""
    rng = np.random.default_rng(seed)
    by_answer: dict[str, list[Sample]] = {}
    for sample in _with_side(samples):
        by_answer.setdefault(_answer(sample), []).append(sample)
    donors = {}
    for sample in _with_side(samples):
        others = [other for other in by_answer[_answer(sample)] if _clip(other) != _clip(sample)]
        if others:
            donors[sample.id] = others[int(rng.integers(len(others)))]
    return donors


def _with_side(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if not is_missing(sample) and any(sample.side.values())]


def _clip(sample: Sample) -> str | None:
    return None if sample.video is None else str(sample.video)


def _answer(sample: Sample) -> str:
    return normalised(references_of(sample)[0])
