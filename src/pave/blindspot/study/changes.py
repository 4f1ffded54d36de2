"""What an evaluation gives a model in place of true side channels: none, zeros, or those of another film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pave.blindspot.study.run import Evaluation
from pave.evaluation.alterations import AlteredMedia, shuffled_donors, zeroed
from pave.evaluation.asking import Media
from pave.types import Sample


def altered_samples(samples: Sequence[Sample], without: Sequence[str]) -> list[Sample]:
    """Return samples that lack some channels."""
    return [
        replace(sample, side={channel: path for channel, path in sample.side.items() if channel not in without})
        for sample in samples
    ]


def altered_media(media: Media, evaluation: Evaluation, samples: Sequence[Sample], seed: int) -> Media:
    """Return media with the side channels that an evaluation gives.

    Args:
        media: The true ones.
        evaluation: The evaluation.
        samples: All samples that are asked about.
        seed: Of the choice of other films.
    """
    if evaluation.side == "zeroed":
        return AlteredMedia(media, zeroed)
    if evaluation.side == "other":
        return AlteredMedia(media, donors=shuffled_donors(samples, seed))
    return media
