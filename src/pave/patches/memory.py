"""What the layers read of the side channels: linear maps of one projection, which compose where that is less work."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pave.patches.batch import pack
from pave.patches.plan import Blend

TOKENS_TO_JOIN = 1024
"""Tokens of small features that are copied together for one product; the copy is kept for the gradient."""


class SideMaps:
    """The projection of side features and the layers' own linear maps after it, each pair composed once at most.

    Nothing stands between the two, so they are one map of the side features: its weights are the product of theirs.

    Args:
        projection: From the side width to the memory's width.
        readers: The layers' maps.
    """

    def __init__(self, projection: nn.Linear, readers: list[nn.Linear]) -> None:
        self.projection = projection
        # Adapted, quantised or sharded weights cannot be multiplied just so.
        self.plain = all(type(each) is nn.Linear and type(each.weight) is nn.Parameter for each in readers)
        self.outputs = sum(reader.out_features for reader in readers)
        self._composed: dict[nn.Linear, tuple[Tensor, Tensor | None]] = {}

    def composing_pays(self, tokens: int) -> bool:
        """Whether so many side tokens go with less work through composed maps."""
        projection = self.projection
        sizes = (projection.in_features, projection.out_features, self.outputs)
        return self.plain and composing_pays(tokens, *sizes, gradients=torch.is_grad_enabled())

    def composed(self, reader: nn.Linear) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias of a map after the projection."""
        if reader not in self._composed:
            self._composed[reader] = compose(self.projection, reader)
        return self._composed[reader]


class Memory(ABC):
    """The side tokens of some videos, as each layer's own linear maps read them."""

    @abstractmethod
    def through(self, reader: nn.Linear) -> Tensor:
        """Return the side tokens (side tokens, out) after the projection and this map."""


class ProjectedMemory(Memory):
    """Side tokens that are projected once for all maps.

    Args:
        maps: The projection.
        features: Side features (K,N,D) of each video.
        blend: Interpolation in time of the projected tokens, if any.
    """

    def __init__(self, maps: SideMaps, features: list[Tensor], blend: Blend | None) -> None:
        projected = project(maps.projection, features)
        self._tokens = projected if blend is None else blend.apply(projected)

    def through(self, reader: nn.Linear) -> Tensor:
        """See :meth:`Memory.through`."""
        mapped: Tensor = reader(self._tokens)
        return mapped


class ComposedMemory(Memory):
    """Side features that go through composed maps, so that no projected token is held, nor in training its gradient.

    Args:
        maps: The projection and the maps after it, with what was composed so far in this forward pass.
        features: Side features (K,N,D) of each video.
    """

    def __init__(self, maps: SideMaps, features: list[Tensor]) -> None:
        self._maps = maps
        self._features = joined(features, maps.projection.weight)

    def through(self, reader: nn.Linear) -> Tensor:
        """See :meth:`Memory.through`."""
        return concatenate([F.linear(part, *self._maps.composed(reader)) for part in self._features])


def composing_pays(tokens: int, side_dim: int, memory_dim: int, outputs: int, *, gradients: bool) -> bool:
    """Whether composed maps of side tokens take fewer multiplications than a projection and maps of what it made.

    Args:
        tokens: Number of side tokens.
        side_dim: Width of the side features.
        memory_dim: Width of the projection.
        outputs: Widths of all maps together.
        gradients: Count what the gradients of the weights take, too; side features need none.
    """
    passes = 1 + gradients
    composed = passes * tokens * outputs * side_dim + (1 + 2 * gradients) * outputs * memory_dim * side_dim
    in_turn = tokens * memory_dim * (passes * (side_dim + outputs) + gradients * outputs)
    return composed < in_turn


def compose(first: nn.Linear, second: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of the second map after the first, multiplied in float64 where the device has it."""
    kind = torch.float32 if second.weight.device.type == "mps" else torch.float64
    with torch.autocast(second.weight.device.type, enabled=False):
        after = second.weight.to(kind)
        weight = after @ first.weight.to(kind)
        bias: Tensor | None = second.bias
        if first.bias is not None:
            shift = after @ first.bias.to(kind)
            bias = shift if bias is None else shift + bias
    return weight.to(second.weight), None if bias is None else bias.to(second.weight)


def project(linear: nn.Linear, features: list[Tensor]) -> Tensor:
    """Return the projection (tokens, out) of all tokens of the features (steps, tokens a step, in)."""
    return concatenate([linear(part) for part in joined(features, linear.weight)])


def joined(features: list[Tensor], like: Tensor) -> list[Tensor]:
    """Return all tokens (tokens, in) in a few parts, in order and in the type of ``like``.

    Small features are joined, to share one product; large ones are not copied together, since they may be far wider
    than what is made of them.
    """
    flat = [feature.flatten(0, 1).to(like) for feature in features]
    return [concatenate(run) for run in pack(flat, len, TOKENS_TO_JOIN)]


def concatenate(parts: list[Tensor]) -> Tensor:
    """Return the parts (n, ...) one after another, without a copy if there is only one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
