"""What one sample is between its files and a batch: tokens, a video, side channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from pave.types import SideChannel, VideoTokens


@dataclass(frozen=True)
class Turns:
    """A conversation as tokens, with the video still in the form that the chat template gives it.

    Args:
        ids: Token ids (L,).
        answer: For each token (L,) whether it is part of an answer, and thus learnt.
    """

    ids: Tensor
    answer: Tensor


@dataclass(frozen=True)
class PreparedVideo:
    """One video as the base's processor made it, and the tokens that it takes in a conversation.

    Args:
        inputs: The model inputs that belong to the video: pixels, grids, seconds a step.
        times_sec: Time of each frame (F,), seconds; an array, so that nobody moves it to an accelerator.
        pattern: Token ids that the chat template writes for a video.
        expansion: What replaces them in each input that has one entry a token, such as ``input_ids``.
    """

    inputs: Mapping[str, Tensor]
    times_sec: np.ndarray
    pattern: tuple[int, ...]
    expansion: Mapping[str, Tensor]


@dataclass(frozen=True)
class Features:
    """One sample, ready to be batched.

    Args:
        tokens: Inputs with one entry a token (L,): ``input_ids``, ``attention_mask``, ``labels``, and the base's own.
        video: The video; ``None`` for a sample of text only.
        encoded: Its video tokens, if they were computed before; they take the place of its pixels.
        side: Channel to side channel, ``None`` where it is absent.
    """

    tokens: Mapping[str, Tensor]
    video: PreparedVideo | None = None
    encoded: VideoTokens | None = None
    side: Mapping[str, SideChannel | None] = field(default_factory=dict)
