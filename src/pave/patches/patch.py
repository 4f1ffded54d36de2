"""What patches are: modules that turn a side channel into residuals, or into something else that a base reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches.align import Seconds
from pave.types import SideChannel


class Patch(nn.Module, ABC):
    """What every patch is: a module that turns side channels into something that the language model reads.

    Args:
        config: Every size and choice.

    Raises:
        InputError: If a width is still to be filled in by a base.
    """

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        for name in ("query_dim", "token_dim"):
            if getattr(config, name) < 1:
                raise InputError(f"patch {config.channel!r}: {name} is {getattr(config, name)}; give the base's width")
        self.config = config

    @abstractmethod
    def flops(self, query_times_sec: Seconds, query_tokens: int, side_times_sec: Seconds, side_tokens: int) -> int:
        """Return the floating-point operations of one forward pass, two for each multiplication in a matrix product.

        Args:
            query_times_sec: Times of the video steps (T,), seconds, sorted.
            query_tokens: S.
            side_times_sec: Times of the side steps (K,), seconds, sorted.
            side_tokens: N.
        """

    def added_tokens(self, side_steps: int, side_tokens: int) -> int:
        """Return how many tokens more the language model reads of K side steps of N tokens."""
        return 0


class ResidualPatch(Patch):
    """A patch that turns queries and side channels into residuals for the video tokens."""

    @abstractmethod
    def forward(
        self,
        queries: Sequence[Tensor],
        sides: Sequence[SideChannel | None],
        query_times_sec: Sequence[Tensor | Sequence[float]],
        query_grids: Sequence[tuple[int, int]] | None = None,
    ) -> list[Tensor]:
        """Return the residual (T,S,C) of each video, in the dtype and on the device of its queries.

        Videos may differ in T, S, K and N.

        Args:
            queries: Features (T,S,Cq) of each video.
            sides: Side channel of each video; ``None`` where it is absent: the residual is then exactly 0.
            query_times_sec: Time of each video step (T,), seconds, sorted.
            query_grids: Rows and columns of the S tokens of each video, for positions in space; by default a square.

        Raises:
            InputError: On lists of different lengths, a wrong shape or width, times or a grid that do not fit.
        """

    @abstractmethod
    def attention_maps(
        self,
        queries: Sequence[Tensor],
        sides: Sequence[SideChannel | None],
        query_times_sec: Sequence[Tensor | Sequence[float]],
        query_grids: Sequence[tuple[int, int]] | None = None,
    ) -> list[Tensor | None]:
        """Return how much each video step read from each side step (T,K), one map a video.

        An absent channel, or one without steps, has ``None``. Rows sum to 1, or to 0 where the step saw nothing.
        Arguments and errors are those of :meth:`forward`.
        """

    @property
    def residual_size(self) -> float | None:
        """How much its residuals vary from token to token, of order 1; ``None`` where its weights do not tell."""
        return None
