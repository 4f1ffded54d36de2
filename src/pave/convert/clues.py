"""What the weights of a checkpoint do not tell, and where the answer came from: positions and channels."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from pave.convert.state import Positions
from pave.errors import InputError, nearest

HEADS = 4
"""Attention heads in every configuration of the reference."""

TOLD, RECORDED = "as told", "as recorded"

CHANNEL_WORDS = {
    "views": ("egoexo", "ego_exo"),
    "audio": ("audio", "imagebind", "avsd", "avqa"),
    "depth": ("scanqa", "sqa3d", "_3d", "depth"),
    "frames": ("dense", "video", "languagebind"),
}
"""Channels, and the words in the names of released checkpoints that tell them; the first that fits counts."""

Value = TypeVar("Value")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision(Generic[Value]):
    """A value, and where it came from.

    Args:
        value: What was decided.
        source: Where it came from, in words.
        sure: Whether that is knowledge, not a guess.
    """

    value: Value
    source: str
    sure: bool

    def say(self, what: str, option: str, where: Any) -> None:
        """Warn if this is a guess."""
        if not self.sure:
            logger.warning(
                "%s: the weights do not tell the %s; taken as %r %s; if that is wrong, give %s",
                where,
                what,
                self.value,
                self.source,
                option,
            )


def decide_positions(told: str | None, clue: str, recorded: str | None = None) -> Decision[Positions]:
    """Decide whether a patch was trained with rotary positions: its weights are the same either way.

    Args:
        told: What the user says.
        clue: Names of the checkpoint; the only configuration with rotary positions is V5_1_2.
        recorded: What this project recorded beside the weights.

    Raises:
        InputError: If ``told`` is nothing that the reference knows.
    """
    known: tuple[Positions, ...] = get_args(Positions)
    for given, source in ((told, TOLD), (recorded, RECORDED)):
        if given in known:
            return Decision(known[known.index(given)], source, sure=True)
        if given is not None:
            raise InputError(f"positions is {given!r}; choose from {', '.join(known)}{nearest(given, known)}")
    versions = set(re.findall(r"(?<!\d)5_1_[23](?!\d)", clue))
    if len(versions) == 1:
        version = versions.pop()
        positions: Positions = "rotary_3d" if version == "5_1_2" else "none"
        return Decision(positions, f"from {version!r} in the name {clue!r}", sure=False)
    return Decision("none", f"by default: the name {clue!r} does not say one of 5_1_2 and 5_1_3", sure=False)


def decide_channels(told: Sequence[str], clue: str, side_dims: Sequence[int]) -> list[Decision[str]]:
    """Decide the side channel of each patch, which the reference does not name.

    Args:
        told: What the user says, one a patch; or nothing.
        clue: Names of the checkpoint.
        side_dims: Side width D of each patch.

    Raises:
        InputError: If ``told`` is of another length, repeats or is unusable as a name.
    """
    if told:
        if len(told) != len(side_dims) or len(set(told)) != len(told) or not all(map(str.isidentifier, told)):
            raise InputError(
                f"channel is {', '.join(told)}; give {len(side_dims)} different names of letters, digits, underscores"
            )
        return [Decision(name, TOLD, sure=True) for name in told]
    if len(side_dims) == 2:
        source = "as in the reference's only training of two"
        return [Decision("frames", source, sure=False), Decision("audio", source, sure=False)]
    for channel, words in CHANNEL_WORDS.items():
        for word in words:
            if word in clue.lower():
                return [Decision(channel, f"from {word!r} in the name {clue!r}", sure=False)]
    by_width = {1152: "views", 768: "audio"}
    if side_dims[0] in by_width:
        return [Decision(by_width[side_dims[0]], f"from the side width {side_dims[0]}", sure=False)]
    return [Decision("frames", f"by default: the name {clue!r} tells no channel", sure=False)]


def decide_heads(told: int | None, recorded: int | None) -> Decision[int]:
    """Decide the number of attention heads; every configuration of the reference has the same."""
    if told is not None:
        return Decision(told, TOLD, sure=True)
    if recorded is not None:
        return Decision(recorded, RECORDED, sure=True)
    return Decision(HEADS, "as in every configuration of the reference", sure=True)
