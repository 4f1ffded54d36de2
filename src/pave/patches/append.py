"""The usual alternative to a residual: side tokens, projected, that the language model reads after the video's."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches.align import Seconds
from pave.patches.attention import tie
from pave.patches.memory import project
from pave.patches.patch import Patch
from pave.types import SideChannel


class AppendPatch(Patch):
    """A projector as Video LLMs have them: two linear layers with a GELU between them, and a norm.

    All K x N side tokens of a video become tokens of the language model, at the cost of a longer sequence. Their order
    is all that tells their times. Unlike a residual they change what is said from the first step: a token of zeros
    would still be read, and hardly let a gradient through, so they start at an ordinary size, with a norm of 1.

    Raises:
        InputError: If a width is still to be filled in by a base.
    """

    def __init__(self, config: PatchConfig) -> None:
        super().__init__(config)
        self.up = nn.Linear(config.side_dim, config.hidden_dim)
        self.down = nn.Linear(config.hidden_dim, config.token_dim)
        self.norm = nn.LayerNorm(config.token_dim)

    def forward(self, sides: Sequence[SideChannel | None]) -> list[Tensor]:
        """Return the tokens (K * N,C) of each side channel, step by step; none where it is absent.

        Raises:
            InputError: If a side channel has another width than the patch was built for.
        """
        for number, side in enumerate(sides):
            if side is not None and side.width != self.config.side_dim:
                raise InputError(
                    f"patch {self.config.channel!r}, video {number}: the side channel has width {side.width}, "
                    f"the patch was built for side_dim {self.config.side_dim}"
                )
        present = [side for side in sides if side is not None and side.steps]
        if not present:
            nothing = tie(self.norm.weight.new_zeros(0, self.config.token_dim), self.parameters())
            return [nothing] * len(sides)
        scale = self.config.side_scale
        hidden = project(self.up, [side.values if scale == 1 else side.values * scale for side in present])
        tokens = self.norm(self.down(F.gelu(hidden)))
        counts = [0 if side is None else side.steps * side.tokens for side in sides]
        return list(tokens.split(counts))

    def flops(self, query_times_sec: Seconds, query_tokens: int, side_times_sec: Seconds, side_tokens: int) -> int:
        """See :meth:`Patch.flops`; what the language model does with the tokens is counted with the base."""
        config = self.config
        return 2 * len(side_times_sec) * side_tokens * config.hidden_dim * (config.side_dim + config.token_dim)

    def added_tokens(self, side_steps: int, side_tokens: int) -> int:
        """See :meth:`Patch.added_tokens`."""
        return side_steps * side_tokens
