"""LoRAs on the samples of one batch: any set of them on each, each with a weight, exactly summed.

peft's own mixed batches know one LoRA a sample and go through all of them in every layer at every step. Here a hook on
each layer adds what the LoRAs of its batch's samples make. A long input, where arithmetic counts, sends to each LoRA
the samples that it acts on; a short one, where calls count, goes through all LoRAs in two products, and weights tell
each sample's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from pave.errors import InputError

SHORT_TOKENS = 64
"""Tokens of a whole batch up to which it goes through all LoRAs together: the steps of generation."""

Part: TypeAlias = tuple[slice | Tensor, float | Tensor]
"""Rows of a layer's input, and the weight of a LoRA on them: one for all, or one for each."""


class RowLoras:
    """The LoRAs of one batch.

    Beams and several return sequences repeat each sample in place; a layer that gets a multiple of the samples takes
    them as repeated.

    Args:
        rows: For each sample the LoRAs that act on it, with their weights.
    """

    def __init__(self, rows: Sequence[Mapping[str, float]]) -> None:
        self.names = sorted({name for row in rows for name in row})
        self._weights = torch.tensor([[row.get(name, 0.0) for name in self.names] for row in rows])
        self._parts: dict[tuple[str, int, torch.device], Part] = {}

    @contextmanager
    def acting(self, layers: Iterable[Any]) -> Iterator[None]:
        """Let them act in these layers of peft, whose own adapters are off, inside this."""
        with ExitStack() as stack:
            for layer in layers:
                names = [name for name in self.names if name in layer.lora_A]
                if names:
                    handle = layer.register_forward_hook(_LayerSum(self, names))
                    stack.callback(handle.remove)
            yield

    def weights(self, names: Sequence[str], size: int) -> Tensor:
        """Return the weights (size, names) of LoRAs on a layer's input of ``size`` rows, on the CPU.

        Raises:
            InputError: If the input is no multiple of the samples.
        """
        rows = len(self._weights)
        if size % rows:
            raise InputError(
                f"a layer got {size} rows for {rows} samples whose patches differ; give samples of different patches "
                "in batches of their own"
            )
        columns = [self.names.index(name) for name in names]
        return self._weights[:, columns].repeat_interleave(size // rows, dim=0)

    def part(self, name: str, size: int, device: torch.device) -> Part:
        """Return the rows of such an input that a LoRA acts on, and its weight or weights there."""
        key = (name, size, device)
        if key not in self._parts:
            weights = self.weights([name], size)[:, 0]
            rows = weights.nonzero()[:, 0]
            first, last = int(rows[0]), int(rows[-1])
            # Neighbours are seen in place, others copied.
            place = slice(first, last + 1) if last - first + 1 == len(rows) else rows.to(device)
            found = weights[rows]
            weight = float(found[0]) if bool((found == found[0]).all()) else found.to(device)
            self._parts[key] = place, weight
        return self._parts[key]


class _LayerSum:
    """The hook on one layer."""

    def __init__(self, loras: RowLoras, names: list[str]) -> None:
        self.loras = loras
        self.names = names
        self._joined: tuple[Tensor, Tensor] | None = None
        self._ranks: dict[tuple[int, torch.device], Tensor] = {}

    def __call__(self, layer: Any, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        tokens = arguments[0]
        if tokens.shape[:-1].numel() > SHORT_TOKENS:
            return self._one_by_one(layer, tokens, output)
        return self._together(layer, tokens, output)

    def _one_by_one(self, layer: Any, tokens: Tensor, output: Tensor) -> Tensor:
        for name in self.names:
            place, weight = self.loras.part(name, len(tokens), tokens.device)
            down, up = layer.lora_A[name], layer.lora_B[name]
            scale = weight * layer.scaling[name]
            if isinstance(scale, Tensor):
                scale = _spread(scale, tokens).to(down.weight.dtype)
            product = up(down(tokens[place].to(down.weight.dtype)) * scale).to(output.dtype)
            if isinstance(place, slice):
                output[place].add_(product)
            else:
                output.index_add_(0, place, product)
        return output

    def _together(self, layer: Any, tokens: Tensor, output: Tensor) -> Tensor:
        if self._joined is None:
            down = torch.cat([layer.lora_A[name].weight for name in self.names])
            up = torch.cat([layer.lora_B[name].weight for name in self.names], dim=1)
            self._joined = down, up
        down, up = self._joined
        key = (len(tokens), tokens.device)
        if key not in self._ranks:
            weights = self.loras.weights(self.names, len(tokens))
            parts = [
                weights[:, column : column + 1].expand(-1, layer.lora_A[name].weight.shape[0]) * layer.scaling[name]
                for column, name in enumerate(self.names)
            ]
            self._ranks[key] = _spread(torch.cat(parts, dim=1), tokens).to(tokens.device, down.dtype)
        product = F.linear(F.linear(tokens.to(down.dtype), down) * self._ranks[key], up)
        return output.add_(product.to(output.dtype))


def _spread(weights: Tensor, tokens: Tensor) -> Tensor:
    """Reshape weights, one a row or (rows, ranks), to multiply features (rows, ..., ranks)."""
    ranks = weights.shape[1] if weights.ndim == 2 else 1
    return weights.view(len(weights), *[1] * (tokens.ndim - 2), ranks)
