"""What every encoder is: settings, sizes, costs, and one method from a media file to a side channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from pave.config import from_dict
from pave.errors import InputError
from pave.types import SideChannel

EncoderConfig = TypeVar("EncoderConfig")


class Encoder(ABC, Generic[EncoderConfig]):
    """Turns a media file into a side channel.

    A subclass sets ``config_class``, a frozen dataclass with a ``type`` whose default is the encoder's registered
    name, and implements :attr:`width`, :attr:`tokens` and :meth:`encode`; one with weights also overrides the rest.
    """

    config_class: ClassVar[type[Any]]

    training: bool = False
    """Whether what it makes is trained on; an encoder that draws at random does so only then."""

    draws: bool = False
    """Whether the same file may give another side channel each time."""

    needs_video: bool = False
    """Whether :meth:`encode` also takes the video that a file belongs to, for its clock."""

    numbers_steps: bool = False
    """Whether steps are numbered instead of timed, so that only patches that align by index can read them."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    @property
    @abstractmethod
    def width(self) -> int | None:
        """Feature width D, or ``None`` where only a file tells."""

    @property
    @abstractmethod
    def tokens(self) -> int | None:
        """Tokens a step N, or ``None`` where only a file tells."""

    @property
    def revision(self) -> str:
        """What identifies the weights, empty for an encoder without any; part of the key of stored features."""
        return ""

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return 0

    def flops(self, duration_sec: float) -> int:
        """Return the floating-point operations for ``duration_sec`` of media; a multiply-add counts as two."""
        return 0

    @abstractmethod
    def encode(self, path: Path) -> SideChannel | None:
        """Return the side channel (K,N,D) of a file, or ``None`` if the file lacks it, as a film without sound does.

        Raises:
            InputError: If the file cannot be used; the message names it.
        """


def build_encoder(settings: dict[str, Any], where: str = "") -> Encoder[Any]:
    """Build an encoder from its settings, a mapping with the encoder's name under ``type``.

    Args:
        settings: As in a configuration file; a setting that is left out has its default.
        where: File that they came from, for error messages.

    Raises:
        InputError: On an unknown type, or a setting that this encoder does not have.
    """
    from pave.encoders import registry

    place = f"{where}: " if where else ""
    if not isinstance(settings, dict) or not isinstance(settings.get("type"), str):
        raise InputError(f"{place}encoder settings lack 'type'; name one of {', '.join(registry.names())}")
    try:
        encoder_class = registry.get(settings["type"])
    except InputError as error:
        raise InputError(f"{place}{error}") from None
    return encoder_class(from_dict(encoder_class.config_class, settings, where))


def side_channel_of(path: Path, values: Tensor, times_sec: Tensor, grid: tuple[int, int] = (0, 0)) -> SideChannel:
    """Return a checked side channel of values (K,N,D) and times (K,).

    Raises:
        InputError: As :class:`SideChannel`, with the file's name in front.
    """
    try:
        return SideChannel(values, times_sec, grid)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
