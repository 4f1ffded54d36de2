"""Cost of a training step, by running it without numbers: what it holds at its peak, and its operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from pave.bases.padding import right_padding_unmasked
from pave.cost.ledger import Ledger, as_on_accelerators, emptied
from pave.model import PaveModel
from pave.types import SideChannel, VideoTokens


@dataclass(frozen=True)
class StepCost:
    """What one device holds in training when it holds most, bytes, and what a step takes.

    Args:
        weights: Of base, patches and LoRAs with buffers, by float type.
        optimiser: AdamW's two moments of each trained weight.
        gradients: Of the trained weights, those that are there at the peak.
        activations: What is kept for the backward pass or on its way.
        batches: Batches that were fetched: the trainer takes those of all passes of a step at once.
        update: What AdamW's update takes beside weights, gradients and moments.
        trained: Bytes of all trained weights, as many as their gradients take.
        flops: Operations of one forward and backward pass over the batch.
        tokens: Tokens of a row of the batch, those of its video included.
    """

    weights: Mapping[str, int]
    optimiser: int
    gradients: int
    activations: int
    batches: int
    update: int
    trained: int
    flops: int
    tokens: int

    @property
    def total(self) -> int:
        """Bytes at the peak, which is in a pass or, if weights and moments outweigh it, in the update after it."""
        passes = self.gradients + self.activations
        lasting = sum(self.weights.values()) + self.optimiser + self.batches
        return lasting + max(passes, self.trained + self.update)


def count_step(
    model: PaveModel,
    batch: Mapping[str, Any],
    precision: torch.dtype = torch.float32,
    gradient_checkpointing: bool = False,
    passes: int = 1,
    on_accelerator: bool = True,
) -> StepCost:
    """Count a training step of a model; its weights are gone afterwards.

    Args:
        model: From :func:`pave.cost.meta_model`, with patches and LoRAs; weights may as well be real.
        batch: What :class:`pave.data.collator.Collator` made, with labels.
        precision: Of arithmetic.
        gradient_checkpointing: Whether activations are computed twice instead of kept.
        passes: Of a step; from the second on, gradients of the earlier ones are held.
        on_accelerator: Whether kernels are those of accelerators, which keep less for dropout, or of the CPU, in whose
            memory the next step's first batch waits.
    """
    ledger = Ledger()
    emptied(model, ledger)
    model.train(True)
    if on_accelerator:
        as_on_accelerators(model)
    if gradient_checkpointing:
        model.activation_checkpointing_enable()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # Before the ledger watches, so that it does not count the pixels of what stands in for the batch.
    inputs = _without_numbers(batch, ledger)
    batch_size = ledger.held
    with _watched(trained, ledger, passes > 1), ledger:
        with _autocast(precision), right_padding_unmasked(model.language_model):
            output = model(**inputs)
        if precision != torch.float32:
            # As accelerate does around a model in mixed precision, the logits included.
            output = convert_to_fp32(output)
        loss = output["loss"]
        del output
        loss.backward()
        del loss, inputs
    size = sum(map(_bytes, trained))
    moments = 2 * sum(weight.numel() * weight.element_size() for weight in trained)
    return StepCost(
        weights=_by_type([*model.parameters(), *model.buffers()]),
        optimiser=moments,
        gradients=ledger.gradients_at_peak,
        activations=ledger.peak - ledger.gradients_at_peak - batch_size,
        batches=batch_size * (passes if on_accelerator else passes + 1),
        update=size if on_accelerator else max(map(_bytes, trained)),
        trained=size,
        flops=ledger.flops,
        tokens=batch["input_ids"].shape[1],
    )


@contextmanager
def _watched(trained: Sequence[Tensor], ledger: Ledger, accumulates: bool) -> Iterator[None]:
    """Inside this, the ledger knows how many of the bytes that it holds are gradients."""

    def arrived(weight: Tensor) -> None:
        ledger.gradients += _bytes(weight)

    handles = []
    for weight in trained:
        if accumulates:
            weight.grad = ledger.empty(weight)
            ledger.hold(weight.grad)
            arrived(weight)
        else:
            handles.append(weight.register_post_accumulate_grad_hook(arrived))
    if accumulates:
        ledger.gradients_at_peak = ledger.gradients
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for weight in trained:
            weight.grad = None


@contextmanager
def _autocast(precision: torch.dtype) -> Iterator[None]:
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        yield


def _without_numbers(batch: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    """The batch with pixels that hold nothing; ids, times and side channels stay, and are held, too."""
    for leaf in tree_leaves(batch):
        held = [leaf.values] if isinstance(leaf, SideChannel) else [leaf]
        if isinstance(leaf, VideoTokens):
            held = [value for value in vars(leaf).values() if isinstance(value, Tensor)]
        for value in held:
            if isinstance(value, Tensor):
                ledger.hold(value)

    def empty(value: Tensor) -> Tensor:
        if not value.is_floating_point() or value.ndim < 2:
            return value
        bare = ledger.empty(value)
        ledger.leave_out(bare)
        return bare

    return tree_map_only(Tensor, empty, dict(batch))  # type: ignore[no-any-return]


def _bytes(weight: Tensor) -> int:
    return weight.numel() * weight.element_size()


def _by_type(tensors: Sequence[Tensor]) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for tensor in {id(tensor): tensor for tensor in tensors}.values():
        sizes[str(tensor.dtype).removeprefix("torch.")] += _bytes(tensor)
    return dict(sizes)
