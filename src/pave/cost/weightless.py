"""Runs of models that hold no weights: whole numbers stay real, alike layers run once, experts are not chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode
from transformers import Cache

_LARGEST_COMPARED = 4096
_BY_MASK = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default)


class RealNumbers(TorchDispatchMode):
    """Keep whole numbers real beside weights on the meta device.

    Grids, positions and masks decide shapes, so that a model reads them; weights and features decide none.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        on_meta = any(tensor.is_meta for tensor in tensors)
        if not on_meta and _is_meta(kwargs.get("device")) and _whole(func, kwargs.get("dtype"), tensors):
            kwargs["device"] = torch.device("cpu")
        if on_meta and func is not torch.ops.aten._to_copy.default:
            if func in _BY_MASK:
                args = (args[0], _places(args[1]), *args[2:])
            args, kwargs = tree_map(_to_meta, (args, kwargs))
        return func(*args, **kwargs)


def _is_meta(device: Any) -> bool:
    return device is not None and torch.device(device).type == "meta"


def _whole(func: Any, dtype: torch.dtype | None, tensors: list[Tensor]) -> bool:
    if dtype is None:
        return func is torch.ops.aten.arange.default if not tensors else not tensors[0].is_floating_point()
    return not dtype.is_floating_point


def _places(indices: Any) -> list[Any]:
    """Masks as the places that they hold, of which the meta device would not know the number."""
    found: list[Any] = []
    for index in indices:
        real_mask = isinstance(index, Tensor) and index.dtype == torch.bool and not index.is_meta
        found += index.nonzero(as_tuple=True) if real_mask else [index]
    return found


def _to_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) and not value.is_meta else value


class Meter:
    """Operations and cached numbers of a model without weights; see :func:`metered`.

    Layers of one list that are built alike and called alike cost alike: one of them runs, the rest are added up.
    """

    def __init__(self, counter: FlopCounterMode) -> None:
        self._counter = counter
        self._added = 0
        self._cached = 0
        self._known: dict[Any, tuple[int, int, Any]] = {}

    @property
    def flops(self) -> int:
        """Operations so far."""
        return int(self._counter.get_total_flops()) + self._added

    @property
    def cached(self) -> int:
        """Numbers that layers have left in the cache so far."""
        return self._cached

    def once(self, layer: nn.Module, built: Any) -> Callable[..., Any]:
        """Return a forward of ``layer`` that runs only if no layer built alike was called alike before."""
        forward = layer.forward

        def run(*args: Any, **kwargs: Any) -> Any:
            key = (built, _looks(args), _looks(kwargs))
            if key not in self._known:
                flops, kept, cache = self.flops, self._cached, _cache_among(kwargs)
                before = _size(cache)
                output = forward(*args, **kwargs)
                self._cached += _size(cache) - before
                self._known[key] = (self.flops - flops, self._cached - kept, output)
                return output
            flops, kept, output = self._known[key]
            self._added += flops
            self._cached += kept
            return output

        return run


@contextmanager
def metered(model: nn.Module) -> Iterator[Meter]:
    """Run ``model``, whose weights are on the meta device, and count."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        meter = Meter(stack.enter_context(FlopCounterMode(display=False)))
        stack.enter_context(RealNumbers())
        for module in model.modules():
            if is_experts(module):
                _replace(stack, module, _to_any_expert(module))
            elif isinstance(module, nn.ModuleList) and len(module) > 1:
                for layer in module:
                    _replace(stack, layer, meter.once(layer, _built(layer)))
        yield meter


def is_experts(module: nn.Module) -> bool:
    """Whether a module holds the weights of routed experts, stacked in three dimensions."""
    return "Experts" in type(module).__name__ and any(weight.ndim == 3 for weight in _own_weights(module))


def _own_weights(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _to_any_expert(experts: nn.Module) -> Callable[..., Tensor]:
    """A forward of routed experts that costs what theirs does: which experts a token is sent to does not matter."""

    def run(hidden: Tensor, chosen: Tensor, *_: Any, **__: Any) -> Tensor:
        routed = chosen.numel()
        for weight in _own_weights(experts):
            if weight.ndim == 3:
                torch.mm(hidden.new_empty(routed, weight.shape[1]), weight[0])
        return torch.empty_like(hidden)

    return run


def _replace(stack: ExitStack, module: nn.Module, forward: Callable[..., Any]) -> None:
    module.forward = forward
    stack.callback(module.__dict__.pop, "forward")


def _built(layer: nn.Module) -> Any:
    """What decides a layer's cost: its class, its weights' shapes and its settings, but not its place."""
    weights = tuple((name, tuple(weight.shape)) for name, weight in layer.named_parameters())
    settings = tuple(
        (name, key, value)
        for name, module in layer.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, (int, str)) and key not in ("layer_idx", "layer_number") and not key.startswith("_")
    )
    return type(layer), weights, settings


def _looks(value: Any) -> Any:
    """What of an argument decides a layer's cost."""
    if isinstance(value, Tensor):
        readable = not value.is_meta and value.numel() <= _LARGEST_COMPARED
        return tuple(value.shape), tuple(value.flatten().tolist()) if readable else None
    if isinstance(value, (list, tuple)):
        return tuple(map(_looks, value))
    if isinstance(value, dict):
        return tuple((key, _looks(entry)) for key, entry in value.items() if key != "layer_idx")
    return value if isinstance(value, (int, float, str, type(None))) else type(value)


def _cache_among(kwargs: dict[str, Any]) -> Cache | None:
    """The cache that a layer is called with, whatever the argument is called: releases of transformers differ."""
    return next((value for value in kwargs.values() if isinstance(value, Cache)), None)


def _size(cache: Cache | None) -> int:
    """Numbers that a cache holds."""
    if cache is None:
        return 0
    states = [vars(layer) for layer in cache.layers]
    return sum(value.numel() for value in tree_leaves(states) if isinstance(value, Tensor) and value.is_meta)
