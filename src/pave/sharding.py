"""Weights that are not simply there: sharded over processes (FSDP2, ZeRO-3), or offloaded until they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn

FEATURE_METHODS = ("get_video_features", "get_image_features")


def is_sharded(module: nn.Module) -> bool:
    """Whether calling a module gathers weights from other processes, so that all must call it or none."""
    return _is_fsdp_unit(module) or any(_is_zero_shard(weight) for weight in module.parameters())


@contextmanager
def awake(core: nn.Module) -> Iterator[None]:
    """Inside this, a base's inner model may make features, though only its methods are called and not itself.

    Whatever puts weights in place just before use waits for a call; a parameter that stands in the inner model itself
    (a newline token, say) would be missing without one.
    """
    if _is_fsdp_unit(core):
        _gather_on_features(core)
    with gathered(core.parameters(recurse=False)), align_module_device(core):
        yield


@contextmanager
def tied(embeddings: nn.Module, zeros: Sequence[Tensor]) -> Iterator[None]:
    """Inside this, embeddings carry the gradients of zeros, which are exactly 0.

    So the backward pass of a batch of text goes through the whole language model and then through the patches, as that
    of a batch with videos does. FSDP would else gather weights in another order in each process, and wait for ever.
    """
    if not zeros or not torch.is_grad_enabled():
        yield
        return
    nothing = torch.stack(list(zeros)).sum()
    handle = embeddings.register_forward_hook(lambda _module, _inputs, output: output + nothing.to(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def gathered(weights: Iterable[Tensor]) -> Iterator[None]:
    """Inside this, weights that DeepSpeed's third stage has sharded are there; every process must enter it."""
    shards = [weight for weight in weights if _is_zero_shard(weight)]
    if not shards:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(shards):
        yield


def in_shards(tensor: Tensor) -> bool:
    """Whether each process holds only a part of a tensor."""
    return _is_dtensor(tensor) or _is_zero_shard(tensor)


def reshard(model: nn.Module) -> None:
    """Let each process keep only its part again of what FSDP put together and has not put away."""
    for module in model.modules():
        if _is_fsdp_unit(module):
            module.reshard()  # type: ignore[operator]


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor in one piece on the CPU; if it is sharded, every process must ask for it."""
    gathered = tensor.full_tensor() if _is_dtensor(tensor) else tensor  # type: ignore[attr-defined]
    return gathered.detach().cpu().contiguous()


@torch.no_grad()
def fill(weight: Tensor, value: Tensor) -> None:
    """Give a weight, sharded or not, the values of a tensor that every process has in one piece."""
    if _is_dtensor(weight):
        from torch.distributed.tensor import distribute_tensor

        placed = value.to(weight.device, weight.dtype)
        value = distribute_tensor(placed, weight.device_mesh, weight.placements)  # type: ignore[attr-defined]
    weight.copy_(value)


def _is_dtensor(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def _is_zero_shard(weight: Tensor) -> bool:
    return hasattr(weight, "ds_id")


def _is_fsdp_unit(module: nn.Module) -> bool:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(module, FSDPModule)


def _gather_on_features(core: nn.Module) -> None:
    from torch.distributed.fsdp import register_fsdp_forward_method

    for name in FEATURE_METHODS:
        if hasattr(type(core), name) and name not in vars(core):
            register_fsdp_forward_method(core, name)
