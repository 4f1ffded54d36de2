"""What goes through a model, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

from pave.errors import InputError

BYTES = 2
"""Bytes of a number in bfloat16, in which memory is stated."""


@dataclass(frozen=True)
class Scene:
    """What goes through the model.

    Args:
        frames: Sampled frames of the video.
        prompt_tokens: Text tokens beside the video's, among them what a processor writes between steps.
        height: Of a frame in pixels, for a base that takes frames in their own size.
        width: Of a frame in pixels, likewise.

    Raises:
        InputError: On a value below 1.
    """

    frames: int = 32
    prompt_tokens: int = 32
    height: int = 360
    width: int = 640

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True)
class Part:
    """One part of a model: its parameters, and its operations for one video and the prompt's prefill."""

    name: str
    parameters: int
    flops: int

    @property
    def memory(self) -> int:
        """Bytes of its weights in bfloat16."""
        return BYTES * self.parameters


@dataclass(frozen=True)
class BaseCost:
    """Cost of a base.

    Args:
        parts: Tower, projector, language model and whatever else it has; their sums are the base's.
        steps: Video steps T.
        tokens: Video tokens a step S.
        sequence: Tokens that the language model reads: the video's and the prompt's.
        active: Parameters that a text token meets: of routed experts only those that it is sent to.
        cache: Bytes of what the language model keeps of the sequence, in bfloat16.
    """

    parts: tuple[Part, ...]
    steps: int
    tokens: int
    sequence: int
    active: int
    cache: int

    @property
    def total(self) -> Part:
        """The base as a whole."""
        return Part("base", sum(part.parameters for part in self.parts), sum(part.flops for part in self.parts))
