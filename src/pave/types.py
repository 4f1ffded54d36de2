"""The three values that travel through the library: a side channel, a video's tokens, and a sample of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pave.errors import InputError


def check_times(times_sec: Tensor, count: int, what: str) -> None:
    """Check that ``times_sec`` holds ``count`` finite, non-negative, sorted seconds.

    Raises:
        InputError: If it does not; ``what`` opens the message.
    """
    if times_sec.ndim != 1 or times_sec.shape[0] != count:
        shape = tuple(times_sec.shape)
        raise InputError(f"{what}: times_sec has shape {shape} for {count} steps; give one time in seconds a step")
    seconds = times_sec.detach().cpu().numpy()
    if not np.isfinite(seconds).all():
        raise InputError(f"{what}: times_sec holds NaN or infinity; give every step a time in seconds")
    if (seconds < 0).any():
        raise InputError(
            f"{what}: times_sec has the negative time {seconds.min():g}; seconds count from the video's start"
        )
    back = seconds[1:] < seconds[:-1]
    if back.any():
        raise InputError(f"{what}: times_sec goes back at step {back.argmax() + 1}; sort the steps by time")


@dataclass(frozen=True)
class SideChannel:
    """A time-ordered signal beside the sampled frames.

    Args:
        values: Features (K,N,D), or (K,D) for one token a step; any float dtype.
        times_sec: Centre of each step (K,), in seconds on the video's clock, sorted. A list is accepted.
        grid: Rows and columns of the N tokens of a step, row-major; by default a square if N is one, else one row.

    Raises:
        InputError: On a wrong shape or dtype, NaN or infinity, or times that are unsorted, negative or not K.
    """

    values: Tensor
    times_sec: Tensor
    grid: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        values = self.values
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise InputError(f"side channel: values must be a float tensor (K,N,D), not {kind}")
        if values.ndim == 2:
            values = values.unsqueeze(1)
        if values.ndim != 3:
            raise InputError(f"side channel: values have shape {tuple(values.shape)}; give (K,N,D) or (K,D)")
        if values.shape[1] == 0 or values.shape[2] == 0:
            raise InputError(f"side channel: values have shape {tuple(values.shape)}; N and D must be at least 1")
        if not torch.isfinite(values).all():
            step = int((~torch.isfinite(values)).any(dim=(1, 2)).nonzero()[0])
            raise InputError(
                f"side channel: values hold NaN or infinity at step {step}; mend the encoder or drop the step"
            )
        times_sec = torch.as_tensor(self.times_sec, dtype=torch.float64, device="cpu").detach()
        check_times(times_sec, values.shape[0], "side channel")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "times_sec", times_sec)
        object.__setattr__(self, "grid", self._check_grid(values.shape[1]))

    def _check_grid(self, tokens: int) -> tuple[int, int]:
        if self.grid == (0, 0):
            side = round(tokens**0.5)
            return (side, side) if side * side == tokens else (1, tokens)
        rows, columns = self.grid
        if rows * columns != tokens:
            raise InputError(f"side channel: grid {rows} x {columns} does not hold {tokens} tokens a step")
        return (rows, columns)

    @property
    def steps(self) -> int:
        """Number of side steps K."""
        return self.values.shape[0]

    @property
    def tokens(self) -> int:
        """Number of tokens a step N."""
        return self.values.shape[1]

    @property
    def width(self) -> int:
        """Feature width D."""
        return self.values.shape[2]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SideChannel:
        """Return it with its values on ``device`` in ``dtype``, itself if they are; times stay float64 on the CPU."""
        values = self.values.to(device=device, dtype=dtype)
        return self if values is self.values else replace(self, values=values)


@dataclass(frozen=True)
class VideoTokens:
    """What a base made of one video, before its language model.

    Args:
        tokens: Video tokens (T,S,C): what a residual is added to.
        vision: The same places before the projector (T,S,Cq), or ``None`` if nobody asked for them.
        tail: Tokens (Z,C) that end the video and belong to no step, such as a newline; Z may be 0.
        times_sec: Time of each step (T,), seconds.
        grid: Rows and columns of the S tokens of a step, row-major.
        row: The sample of the batch that the video belongs to.
        kept: What else the base made of the video and takes back untouched, by name.
        appended: Tokens (A,C) of patches, read after all of the video's; ``None`` without any.
    """

    tokens: Tensor
    vision: Tensor | None
    tail: Tensor
    times_sec: Tensor
    grid: tuple[int, int]
    row: int
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    appended: Tensor | None = None

    def queries(self, place: str) -> Tensor:
        """What a patch asks with (T,S,Cq): ``vision`` (before the projector) or ``projected`` (after it).

        Raises:
            InputError: If the video was encoded without what it asks with.
        """
        if place == "projected":
            return self.tokens
        if self.vision is None:
            raise InputError(
                "videos were encoded without the features before the projector, which a patch of query 'vision' asks "
                "with; encode them with encode_videos(..., vision=True)"
            )
        return self.vision

    def to(self, device: torch.device | str) -> VideoTokens:
        """Return a copy whose tokens are on ``device``; times stay on the CPU."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            vision=None if self.vision is None else self.vision.to(device),
            tail=self.tail.to(device),
            kept={name: value.to(device) for name, value in self.kept.items()},
            appended=None if self.appended is None else self.appended.to(device),
        )

    def cast(self, dtype: torch.dtype) -> VideoTokens:
        """Return a copy with all that goes to the language model in ``dtype``."""
        kept = {name: value.to(dtype) for name, value in self.kept.items()}
        appended = None if self.appended is None else self.appended.to(dtype)
        return replace(self, tokens=self.tokens.to(dtype), tail=self.tail.to(dtype), kept=kept, appended=appended)


@dataclass(frozen=True)
class Sample:
    """One line of a data set: a video, its side media and a conversation about it.

    Args:
        id: Unique name within the data set.
        video: Video file, or ``None`` for a sample of text only.
        side: Channel name to media or feature file; ``None`` or an absent name: the sample lacks the channel.
        messages: Turns ``{"role": "user" | "assistant" | "system", "content": text}``.
        extra: Every other field of the line, as it stood.
        source: ``file:line`` it came from, for error messages.
    """

    id: str
    video: Path | None
    messages: list[dict[str, str]]
    side: Mapping[str, Path | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def question(self) -> str:
        """Text of the last user turn."""
        return next(turn["content"] for turn in reversed(self.messages) if turn["role"] == "user")

    @property
    def answer(self) -> str | None:
        """Text of the last assistant turn, if the conversation ends with one."""
        last = self.messages[-1]
        return last["content"] if last["role"] == "assistant" else None
