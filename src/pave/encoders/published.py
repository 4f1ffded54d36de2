"""What the encoders of published weights share: settings, loading on first use, the weights' licence, and costs."""

from __future__ import annotations

import copy
import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pave.config import check_choices
from pave.encoders.base import Encoder
from pave.encoders.pretrained import check_device, device_of
from pave.encoders.weights import Checkpoint
from pave.errors import InputError

logger = logging.getLogger(__name__)

_told: set[str] = set()


@dataclass(frozen=True)
class PublishedConfig:
    """Settings that every encoder of published weights has.

    Args:
        weights: File, folder or hub id.
        type: Name in the encoder registry.
        revision: Branch, tag or commit on the hub.
        offset_sec: Added to all times, for media that were recorded apart from the picture.
        dtype: Of weights and features.
        device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.
        batch_size: Windows, clips or views that go through the model at once.

    Raises:
        InputError: On a value out of range.
    """

    weights: str
    type: str = ""
    revision: str | None = None
    offset_sec: float = 0.0
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_choices(self)
        if self.batch_size < 1:
            raise InputError(f"{self.type}: batch_size is {self.batch_size}; it must be at least 1")
        if not math.isfinite(self.offset_sec):
            raise InputError(f"{self.type}: offset_sec is {self.offset_sec}; it must be a number of seconds")
        check_device(self.type, self.device)


Config = TypeVar("Config", bound=PublishedConfig)
Item = TypeVar("Item")


class PublishedEncoder(Encoder[Config]):
    """An encoder whose weights were published; they are listed and checked at once, and read on first use.

    A subclass sets ``weights_licence`` and implements :meth:`_outline` and :meth:`_load`.

    Raises:
        InputError: If the weights cannot be found, or a tensor is missing, unexpected or of another shape.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.outline = self._outline()

    @abstractmethod
    def _outline(self) -> nn.Module:
        """Return the network without weights, on the meta device; what was published is checked against it."""

    @abstractmethod
    def _load(self) -> nn.Module:
        """Return the network with its weights, on the CPU."""

    @property
    def num_parameters(self) -> int:
        """Number of weights that are used."""
        return sum(weight.numel() for weight in self.outline.parameters())

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return device_of(self.config.device)

    @cached_property
    def module(self) -> nn.Module:
        """The network, frozen, on its device; its licence is told the first time."""
        if self.config.type not in _told:
            _told.add(self.config.type)
            logger.warning("%s: weights of %s, %s", self.config.type, self.config.weights, self.weights_licence)
        network = self._load().requires_grad_(False).eval()
        return network.to(self.device, getattr(torch, self.config.dtype))

    @torch.no_grad()
    def run(self, use: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Return on the CPU what a use of the network, ``use(module, *inputs)``, gives for inputs on the CPU."""
        return use(self.module, *(given.to(self.device) for given in inputs)).cpu()


def fill(outline: nn.Module, checkpoint: Checkpoint, names: Iterable[str] | None = None) -> nn.Module:
    """Return a copy of an outline with the weights of a checkpoint, whose names are the outline's."""
    module = copy.deepcopy(outline)
    module.load_state_dict(checkpoint.read(outline.state_dict() if names is None else names), assign=True)
    return module


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Return lists of so many items, the last one of what is left."""
    held: list[Item] = []
    for item in items:
        held.append(item)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def count_flops(network: Callable[..., Any], *shapes: tuple[int, ...]) -> int:
    """Return the floating-point operations of a network on the meta device for inputs of these shapes."""
    inputs = [torch.empty(shape, device="meta") for shape in shapes]
    # The counter does not see fused attention; the plain kernel is made of products that it counts.
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())
