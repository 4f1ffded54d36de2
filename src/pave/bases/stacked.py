"""Families whose call stacks its videos in one tensor, as many steps of one size in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from pave.bases.family import Family
from pave.errors import InputError
from pave.types import VideoTokens


class StackedFamily(Family):
    """Pixels of five axes: videos, steps, channels, rows, columns.

    Videos of different shapes come as a list of pixels, with or without the first axis. They are encoded one by one
    and handed over together, which the base itself cannot do.
    """

    appends = True

    def batched(self, name: str, parts: Sequence[Tensor]) -> Any:
        if name == self.pixels and len({part.shape[1:] for part in parts}) > 1:
            return list(parts)
        return super().batched(name, parts)

    def must_encode(self, inputs: Mapping[str, Any]) -> bool:
        return isinstance(inputs.get(self.pixels), list | tuple)

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        if not self.must_encode(inputs):
            return super().encode(model, inputs, times_sec, vision)
        pixels = inputs[self.pixels]
        if times_sec is not None and len(times_sec) != len(pixels):
            raise InputError(
                f"video_times_sec has {len(times_sec)} entries, the batch {len(pixels)} videos; give one a video"
            )
        times: Sequence[Any] = [None] * len(pixels) if times_sec is None else [[given] for given in times_sec]
        return [
            super(StackedFamily, self).encode(model, self.of_video(inputs, index), given, vision)[0]
            for index, given in enumerate(times)
        ]

    def of_video(self, inputs: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Return the inputs of one video out of a list of pixels."""
        pixels = inputs[self.pixels][index]
        return {**inputs, self.pixels: pixels if pixels.ndim == 5 else pixels.unsqueeze(0)}
