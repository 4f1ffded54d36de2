"""A patch's weights under the reference's names: which there are, what shapes they have, and what they are here."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pave.config import PatchConfig
from pave.errors import InputError, nearest

Positions = Literal["none", "rotary_3d"]
"""Positions that the reference knows."""

FIRST, SECOND = "temporal_aggregator", "temporal_aggregator2"
"""The reference's names of a patch, and of the second one beside it."""

SHAPES = {
    "query_input_mapping.weight": ("hidden", "query"),
    "query_input_mapping.bias": ("hidden",),
    "input_mapping.weight": ("memory", "side"),
    "input_mapping.bias": ("memory",),
    "output_mapping.0.weight": ("double", "hidden"),
    "output_mapping.0.bias": ("double",),
    "output_mapping.2.weight": ("token", "double"),
    "output_mapping.2.bias": ("token",),
    "output_norm.weight": ("token",),
    "output_norm.bias": ("token",),
}
"""Every weight outside the layers, and the sizes that its shape consists of; ``double`` is twice ``hidden``."""

LAYER_SHAPES = {
    "attn.q_linear.weight": ("hidden", "hidden"),
    "attn.q_linear.bias": ("hidden",),
    "attn.k_linear.weight": ("hidden", "memory"),
    "attn.k_linear.bias": ("hidden",),
    "attn.v_linear.weight": ("hidden", "memory"),
    "attn.v_linear.bias": ("hidden",),
    "ffn.0.weight": ("hidden",),
    "ffn.0.bias": ("hidden",),
    "ffn.1.weight": ("double", "hidden"),
    "ffn.3.weight": ("hidden", "double"),
}
"""Every weight of a layer, likewise."""

UNUSED = ".attn.v_linear."
"""Marks the value projections, which the reference makes and saves, but never uses: its value is the key."""

OUR_NAMES = {
    "query_input_mapping.": "query_projection.",
    "input_mapping.": "key_projection.",
    "output_mapping.0.": "output.up.",
    "output_mapping.2.": "output.down.",
    "output_norm.": "norm.",
    "attn.q_linear.": "attention.query.",
    "attn.k_linear.": "attention.key.",
    "ffn.0.": "feed_forward.norm.",
    "ffn.1.": "feed_forward.up.",
    "ffn.3.": "feed_forward.down.",
}

NOT_CONVERTED = {
    r"input_mapping\.\d+\.(conv|norm|res)": "a convolutional input mapping",
    r"learnable_query$": "learnt queries",
    r"start_end_tokens$": "start and end tokens for interleaving",
}
"""Weights of the reference's choices that none of its configurations uses."""

_LAYER = re.compile(r"cross_attn_layers\.(\d+)\.(.+)")
_KEY = re.compile(rf"(base_model\.model\.model\.|model\.model\.|model\.)?((?:{FIRST}|{SECOND})\.)?(.+)", re.DOTALL)


@dataclass(frozen=True)
class PatchState:
    """One patch's weights, checked.

    Args:
        weights: Those that are used, under this project's names.
        unused: The value projections, under the reference's names.
        sizes: Widths by the names that :data:`SHAPES` uses, and ``layers``.
        dtype: Float type of all of them.
    """

    weights: dict[str, Tensor]
    unused: dict[str, Tensor]
    sizes: dict[str, int]
    dtype: torch.dtype

    def config(self, channel: str, heads: int, positions: Positions) -> PatchConfig:
        """Return the configuration that reproduces the reference.

        Raises:
            InputError: If the width is no multiple of ``heads``.
        """
        sizes = self.sizes
        return PatchConfig(
            channel=channel,
            side_dim=sizes["side"],
            query_dim=sizes["query"],
            token_dim=sizes["token"],
            hidden_dim=sizes["hidden"],
            memory_dim=None if sizes["memory"] == sizes["hidden"] else sizes["memory"],
            heads=heads,
            layers=sizes["layers"],
            value_projection="tied",
            positions=positions,
            alignment="index",
            query="vision",
            layout="grid",
        )


def names(layers: int) -> dict[str, tuple[str, ...]]:
    """Return every weight of a patch with so many layers, under the reference's names, and its shape in sizes."""
    inside = {f"cross_attn_layers.{i}.{name}": shape for i in range(layers) for name, shape in LAYER_SHAPES.items()}
    return SHAPES | inside


def our_name(name: str) -> str:
    """Return this project's name of a weight that is used."""
    layer = _LAYER.fullmatch(name)
    start, name = (f"layers.{layer[1]}.", layer[2]) if layer else ("", name)
    theirs = next(theirs for theirs in OUR_NAMES if name.startswith(theirs))
    return start + OUR_NAMES[theirs] + name.removeprefix(theirs)


def read_state(state: Mapping[str, Tensor], where: str) -> list[PatchState]:
    """Return the one or two patches of a state dictionary, under any of the reference's prefixes.

    Args:
        state: Tensors by name.
        where: File that it came from, for error messages.

    Raises:
        InputError: If a tensor is missing, unexpected, of another shape or float type than the rest, or not finite;
            the message names it.
    """
    if not state:
        raise InputError(f"{where}: holds no tensor")
    parts = {key: _split(key) for key in state}
    (prefix, named), _ = Counter((prefix, bool(module)) for prefix, module, _ in parts.values()).most_common(1)[0]
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, (its_prefix, module, name) in parts.items():
        if (its_prefix, bool(module)) != (prefix, named):
            start = prefix + (f"{FIRST}." if named else "")
            raise InputError(f"{where}: unexpected tensor {key!r}; the others begin with {start!r}")
        modules[prefix + module][name] = state[key]
    if len(modules) == 1 and next(iter(modules)).endswith(f"{SECOND}."):
        raise InputError(f"{where}: holds {SECOND!r} without {FIRST!r}; the first patch is missing")
    return [_read_patch(modules[start], start, where) for start in sorted(modules)]


def _split(key: str) -> tuple[str, str, str]:
    match = _KEY.fullmatch(key)
    return (match[1] or "", match[2] or "", match[3]) if match else ("", "", key)


def _read_patch(tensors: Mapping[str, Tensor], start: str, where: str) -> PatchState:
    for name in tensors:
        for pattern, what in NOT_CONVERTED.items():
            if re.match(pattern, name):
                raise InputError(
                    f"{where}: tensor {start + name!r} belongs to {what}, which no configuration of the reference "
                    "uses and this project has no module for"
                )
    layers = _count_layers(tensors)
    wanted = names(layers)
    _check_names(tensors, wanted, start, where)
    sizes = _sizes(tensors, wanted)
    (dtype, _), *_ = Counter(value.dtype for value in tensors.values()).most_common()
    for name, value in tensors.items():
        shape = tuple(sizes[size] for size in wanted[name])
        if tuple(value.shape) != shape:
            raise InputError(
                f"{where}: tensor {start + name!r} has shape {tuple(value.shape)}, the others ask for {shape}"
            )
        if value.dtype != dtype or not dtype.is_floating_point:
            raise InputError(f"{where}: tensor {start + name!r} is {value.dtype}; give all in one float type")
        if UNUSED not in name and not torch.isfinite(value).all():
            raise InputError(f"{where}: tensor {start + name!r} holds NaN or infinity")
    used = {our_name(name): value for name, value in tensors.items() if UNUSED not in name}
    unused = {name: value for name, value in tensors.items() if UNUSED in name}
    return PatchState(used, unused, {**sizes, "layers": layers}, dtype)


def _count_layers(tensors: Iterable[str]) -> int:
    """Return how many layers there are; a stray name does not make a layer."""
    found = Counter(int(match[1]) for match in map(_LAYER.fullmatch, tensors) if match)
    return max((index for index, count in found.items() if 2 * count >= len(LAYER_SHAPES)), default=0) + 1


def _check_names(tensors: Mapping[str, Tensor], wanted: Iterable[str], start: str, where: str) -> None:
    wanted = list(wanted)
    extra = [name for name in tensors if name not in wanted]
    for name in wanted:
        if name not in tensors:
            instead = f"; {start + extra[0]!r} is there, which the reference does not have" if extra else ""
            raise InputError(f"{where}: tensor {start + name!r} is missing{instead}")
    if extra:
        raise InputError(f"{where}: unexpected tensor {start + extra[0]!r}{nearest(extra[0], wanted)}")


def _sizes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Return each size as most of the tensors that hold it say, so that the one that does not fit can be named."""
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for name, shape in wanted.items():
        if tensors[name].ndim == len(shape):
            for size, length in zip(shape, tensors[name].shape, strict=True):
                votes[size][length] += 1
    sizes = {size: votes[size].most_common(1)[0][0] if votes[size] else 0 for size in _ALL_SIZES}
    return {**sizes, "double": 2 * sizes["hidden"]}


_ALL_SIZES = ("hidden", "memory", "side", "query", "token")


def to_reference(weights: Mapping[str, Tensor], unused: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Return a patch's weights under the reference's names, the value projections among them."""
    return {name: unused[name] if UNUSED in name else weights[our_name(name)] for name in names(layers)}


def fresh_unused(config: PatchConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return value projections as the reference draws them: uniform within 1 / sqrt(fan-in), biases 0."""
    generator = torch.Generator().manual_seed(0)
    memory = config.memory_dim or config.hidden_dim
    drawn = {}
    for index in range(config.layers):
        start = f"cross_attn_layers.{index}{UNUSED}"
        uniform = torch.rand(config.hidden_dim, memory, generator=generator) * 2 - 1
        drawn[start + "weight"] = (uniform / memory**0.5).to(dtype)
        drawn[start + "bias"] = torch.zeros(config.hidden_dim, dtype=dtype)
    return drawn
