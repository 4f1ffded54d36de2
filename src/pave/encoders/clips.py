"""Overlapping clips over a long row of steps: each step is taken from the clip in whose middle it stands nearest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """A clip, in steps.

    Args:
        start: Its first step.
        kept_from: First step that is taken from it.
        kept_to: Step after the last one that is taken from it.
    """

    start: int
    kept_from: int
    kept_to: int


def plan_clips(steps: int, length: int, hop: int) -> list[Clip]:
    """Return clips that together give every step once.

    Args:
        steps: Number of steps.
        length: Steps in a clip; the only clip of a shorter video reaches beyond its end.
        hop: Most steps from the start of one clip to that of the next.
    """
    beyond = max(0, steps - length)
    starts = [*range(0, beyond, hop), beyond]
    # Between two clips, the step in the middle of both their centres divides what is taken from them.
    cuts = [0, *(math.ceil((one + next_one + length) / 2) for one, next_one in zip(starts, starts[1:], strict=False))]
    return [Clip(start, *ends) for start, *ends in zip(starts, cuts, [*cuts[1:], steps], strict=True)]


def cut_clips(batches: Iterable[Tensor], clips: list[Clip], length: int, step: int) -> Iterator[Tensor]:
    """Return the frames of each clip (length * step, ...) out of a stream; the last frame fills up what is beyond.

    Holds one clip and one batch, however long the stream.

    Args:
        batches: Consecutive frames (B, ...).
        clips: In order.
        length: Steps in a clip.
        step: Frames in a step.
    """
    stream = iter(batches)
    held = next(stream)
    held_from = 0
    for clip in clips:
        start, end = clip.start * step, (clip.start + length) * step
        while held_from + len(held) < end and (batch := next(stream, None)) is not None:
            passed = min(max(0, start - held_from), len(held) - 1)
            held, held_from = torch.cat([held[passed:], batch]), held_from + passed
        frames = held[start - held_from : end - held_from]
        missing = length * step - len(frames)
        yield torch.cat([frames, frames[-1:].expand(missing, *frames.shape[1:])]) if missing else frames
