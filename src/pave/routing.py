"""LoRAs on the samples of one batch: any set of them on each, each with a weight, exactly summed.

peft's own mixed batches know one LoRA a sample and go through all of them in every layer at every step. Here a hook on
each layer adds what the LoRAs of its batch's samples make. A long input, where arithmetic counts, sends to each LoRA
the samples that it acts on; a short one, where calls count, goes through all LoRAs in two products, and factors tell
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

Part: TypeAlias = tuple[slice | Tensor, float]
"""Samples, and the weight of a LoRA on all of them."""


class RowLoras:
    """The LoRAs of one batch.

    Beams and several return sequences repeat each sample in place, and some layers see all tokens in one row: what a
    layer gets is shared out evenly among the samples, in their order.

    Args:
        rows: For each sample the LoRAs that act on it, with their weights.
    """

    def __init__(self, rows: Sequence[Mapping[str, float]]) -> None:
        self.names = sorted({name for row in rows for name in row})
        self._rows = rows
        self._parts: dict[tuple[str, torch.device], list[Part]] = {}
        self._factors: dict[Any, Tensor] = {}

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

    def by_sample(self, features: Tensor) -> Tensor:
        """Return a layer's input or output as (samples, tokens, width).

        Raises:
            InputError: If it is no multiple of the samples.
        """
        samples = len(self._rows)
        if len(features) % samples:
            raise InputError(
                f"a layer got {len(features)} rows for {samples} samples whose patches differ; give samples of "
                "different patches in batches of their own"
            )
        return features.reshape(samples, -1, features.shape[-1])

    def parts(self, name: str, device: torch.device) -> list[Part]:
        """Return the samples that a LoRA acts on, those of one weight together: neighbours in place, others copied."""
        key = (name, device)
        if key not in self._parts:
            samples: dict[float, list[int]] = {}
            for index, row in enumerate(self._rows):
                if name in row:
                    samples.setdefault(row[name], []).append(index)
            self._parts[key] = [(_place(found, device), weight) for weight, found in sorted(samples.items())]
        return self._parts[key]

    def factors(self, sizes: Sequence[tuple[str, int, float]], like: Tensor) -> Tensor:
        """Return the factor of each rank of a layer on each sample (samples, 1, ranks).

        Args:
            sizes: Name, rank and scaling of each LoRA of the layer.
            like: A tensor with the dtype and device wanted.
        """
        key = (*sizes, like.dtype, like.device)
        if key not in self._factors:
            rows = [
                [row.get(name, 0.0) * scaling for name, rank, scaling in sizes for _ in range(rank)]
                for row in self._rows
            ]
            self._factors[key] = torch.tensor(rows).unsqueeze(1).to(like)
        return self._factors[key]


def _place(samples: list[int], device: torch.device) -> slice | Tensor:
    first, last = samples[0], samples[-1]
    return slice(first, last + 1) if last - first + 1 == len(samples) else torch.tensor(samples, device=device)


class _LayerSum:
    """The hook on one layer."""

    def __init__(self, loras: RowLoras, names: list[str]) -> None:
        self.loras = loras
        self.names = names
        self._joined: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, layer: Any, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        tokens = self.loras.by_sample(arguments[0])
        found = self.loras.by_sample(output)
        if tokens.shape[:2].numel() > SHORT_TOKENS:
            self._add_one_by_one(layer, tokens, found)
        else:
            self._add_together(layer, tokens, found)
        return found.view(output.shape)

    def _add_one_by_one(self, layer: Any, tokens: Tensor, output: Tensor) -> None:
        for name in self.names:
            down, up, scaling = layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]
            for place, weight in self.loras.parts(name, tokens.device):
                narrow = F.linear(tokens[place].to(down.dtype), down).flatten(0, 1)
                if isinstance(place, slice) and output.dtype == up.dtype:
                    # Product and sum in one call.
                    output[place].view(len(narrow), -1).addmm_(narrow, up.T, alpha=weight * scaling)
                else:
                    output[place] += (F.linear(narrow, up) * (weight * scaling)).view_as(output[place])

    def _add_together(self, layer: Any, tokens: Tensor, output: Tensor) -> None:
        if self._joined is None:
            downs = [layer.lora_A[name].weight for name in self.names]
            ups = [layer.lora_B[name].weight for name in self.names]
            sizes = [(name, len(down), layer.scaling[name]) for name, down in zip(self.names, downs, strict=True)]
            self._joined = torch.cat(downs), torch.cat(ups, dim=1), self.loras.factors(sizes, downs[0])
        down, up, factors = self._joined
        output += F.linear(F.linear(tokens.to(down.dtype), down) * factors, up)
