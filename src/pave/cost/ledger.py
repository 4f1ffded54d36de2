"""A training step without numbers: real code on weights that hold nothing, with a ledger of memory and operations."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

_HOME = torch.device("cpu")
_BY_MASK = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default)
_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Ledger(TorchDispatchMode):
    """Counts the bytes that tensors hold, and the operations of matrix products, while a model without weights runs.

    What depends on weights knows its shape, its type and how long it is held, but no numbers; all the rest, such as
    grids, masks and times, is computed, because models read it. A multiply-add counts as two operations, attention as
    the full square, and its backward pass as the five products that it takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._sizes: dict[int, int] = {}
        self.held = 0
        self.peak = 0
        self.gradients = 0
        self.gradients_at_peak = 0
        self.flops = 0

    def empty(self, tensor: Tensor) -> Tensor:
        """Return a tensor of this shape and type that holds nothing."""
        return FakeTensor(self._fake, tensor.detach().to("meta"), _HOME)

    def leave_out(self, tensor: Tensor) -> None:
        """Do not count the bytes of a tensor, nor those of views of it."""
        self._enter(tensor, 0)

    def hold(self, tensor: Tensor) -> None:
        """Count the bytes of a tensor, once, for as long as anything holds them."""
        self._enter(tensor, tensor.untyped_storage().nbytes())
        if self.held > self.peak:
            self.peak, self.gradients_at_peak = self.held, self.gradients

    def _enter(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = int(storage._cdata)
        if key not in self._sizes:
            self._sizes[key] = size
            self.held += size
            weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self.held -= self._sizes.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if any(isinstance(value, FakeTensor) for value in tree_leaves((args, kwargs))):
            if func in _BY_MASK:
                args = (args[0], _places(args[1]), *args[2:])
            args, kwargs = tree_map(self._emptied, (args, kwargs))
            with self._fake:
                out = func(*args, **kwargs)
            self.flops += _flops(func, args, kwargs, out)
        else:
            out = func(*args, **kwargs)
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self.hold(value)
        return out

    def _emptied(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        # A single number may decide a shape, and is known to the mode as a constant.
        return self._fake.from_tensor(value) if value.ndim == 0 else self.empty(value)


def as_on_accelerators(model: nn.Module) -> None:
    """Let dropout keep a byte for each number, as accelerators do it, in place of a float as the CPU does."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.forward = partial(_dropout, module)  # type: ignore[method-assign]


def _dropout(module: nn.Dropout, input: Tensor) -> Tensor:
    return torch.native_dropout(input, module.p, True)[0] if module.training and module.p > 0 else input


def emptied(model: nn.Module, ledger: Ledger) -> None:
    """Replace all weights and buffers of a model, which may be on the meta device, by ones that hold nothing."""
    made: dict[int, Tensor] = {}

    def empty(value: Tensor) -> Tensor:
        if id(value) not in made:
            bare = ledger.empty(value)
            ledger.leave_out(bare)
            made[id(value)] = (
                nn.Parameter(bare, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else bare
            )
        return made[id(value)]

    kept = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        for values in (module._parameters, module._buffers):
            for name, value in values.items():
                if value is not None:
                    values[name] = empty(value)  # type: ignore[assignment]
    del kept


def _places(indices: Any) -> list[Any]:
    """Masks as the places that they hold, of which nothing but numbers tells how many they are."""
    found: list[Any] = []
    for index in indices:
        is_mask = isinstance(index, Tensor) and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        found += index.nonzero(as_tuple=True) if is_mask else [index]
    return found


def _flops(func: Any, args: Any, kwargs: dict[str, Any], out: Any) -> int:
    packet = func._overloadpacket
    if packet is _ATTENTION:
        return _attention_flops(args[0], args[1])
    if packet is _ATTENTION_BACKWARD:
        return _attention_flops(args[1], args[2]) * 5 // 2
    count: Callable[..., int] | None = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))


def _attention_flops(query: Tensor, key: Tensor) -> int:
    """Operations of both products of attention: query (B,heads,L,width), key (B,any heads,K,width)."""
    return 4 * prod(query.shape) * key.shape[2]
