"""Padding on the right, of which a causal language model need not be told in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def right_padding_unmasked(language_model: nn.Module) -> Iterator[None]:
    """Inside this, the language model takes padding on the right for tokens.

    No token sees what stands after it, so that this changes nothing but the logits of the padding, which no loss
    counts. Attention without a mask is quicker: kernels leave out what is causally hidden.
    """
    handle = language_model.register_forward_pre_hook(_unmask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _unmask(_: nn.Module, arguments: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask = options.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2 and bool((mask[:, 1:] <= mask[:, :-1]).all()):
        # Ones, since some bases look for sequences packed into one row where there is no mask at all.
        options["attention_mask"] = mask.new_ones(mask.shape)
    return arguments, options
