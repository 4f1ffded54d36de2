"""What every encoder is: settings, sizes, costs, and one method from a media file to a side channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from pave.config import from_dict
from pave.encoders.tower import Tower
from pave.errors import InputError
from pave.types import SideChannel

EncoderConfig = TypeVar("EncoderConfig")


class Encoder(ABC, Generic[EncoderConfig]):
    """Turns a media file into a side channel.

    A subclass sets ``config_class``, a frozen dataclass with a ``type`` whose default is the encoder's registered
    name, and implements :attr:`width`, :attr:`tokens` and :meth:`encode`; one with weights also overrides the rest.
    """

    config_class: ClassVar[type[Any]]

    weights_licence: ClassVar[str] = ""
    """Licence of the weights that it is made for, shown in the cards of patches that use it; empty without any."""

    training: bool = False
    """Whether what it makes is trained on; an encoder that draws at random does so only then."""

    draws: bool = False
    """Whether the same file may give another side channel each time."""

    thins: bool = False
    """Whether each use in training sees another part of a side channel, which :meth:`thin` draws."""

    only_reads: ClassVar[bool] = False
    """Whether files hold the features already, so that storing them anew gains nothing."""

    needs_video: bool = False
    """Whether :meth:`encode` also takes the video that a file belongs to, for its clock."""

    numbers_steps: bool = False
    """Whether steps are numbered instead of timed, so that only patches that align by index can read them."""

    needs_tower: bool = False
    """Whether it shows frames to the base's own tower, which :meth:`attach` gives it."""

    attached: Tower | None = None
    """The base's own tower, if one was given."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    def attach(self, tower: Tower) -> None:
        """Give it the tower of the base that its side channels are made for."""
        self.attached = tower

    @property
    def tower(self) -> Tower:
        """The base's own tower.

        Raises:
            InputError: If none was given.
        """
        if self.attached is None:
            name = getattr(self.config, "type", type(self).__name__)
            raise InputError(f"encoder {name!r} works with the tower of a base, and has none; attach one to it")
        return self.attached

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
        """Number of weights, without those of the base's own tower."""
        return 0

    @property
    def device(self) -> torch.device:
        """Where its own weights run; the CPU for an encoder without any."""
        return torch.device("cpu")

    def sources(self, path: Path) -> list[Path]:
        """Return the files and folders whose bytes decide what :meth:`encode` makes of ``path``.

        An encoder whose file names other files adds these; stored features are known by the content of all.
        """
        return [path]

    def flops(self, duration_sec: float) -> int:
        """Return the floating-point operations for ``duration_sec`` of media; a multiply-add counts as two."""
        return 0

    def thin(self, signal: SideChannel, path: Path, video: Path | None, draw: int) -> SideChannel:
        """Return the part of a side channel that one use in training sees.

        Args:
            signal: What :meth:`encode` made of ``path``.
            path: The file.
            video: The video that it belongs to.
            draw: Number of the draw, which alone decides it, so that a resumed run draws as an unbroken one.
        """
        return signal

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


def draw_some(count: int, seed: int, draw: int) -> np.ndarray:
    """Return at least one of ``count`` numbers, sorted; seed and number of the draw decide which."""
    rng = np.random.default_rng([seed, draw])
    return np.sort(rng.choice(count, rng.integers(1, count + 1), replace=False))
