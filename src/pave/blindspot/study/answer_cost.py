"""What an answer costs, counted while a model gives it: operations, and the tokens that its language model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pave.data.side import SideReader
from pave.evaluation.asking import Asker, replies
from pave.model import PaveModel
from pave.types import Sample, SideChannel

COUNTED = 8
"""Questions over which the cost is a mean."""


@dataclass(frozen=True)
class AnswerCost:
    """Cost of an answer from files: reading the video, running encoders, and generating.

    A multiply-add counts as two operations; only matrix products and convolutions count.

    Args:
        flops: Operations of everything.
        encoder_flops: Of these, those of the side channels' encoders.
        language_model_flops: Of these, those of the language model and its LoRA.
        prompt_tokens: Tokens that the language model reads before it answers, video and side tokens included.
        n: Questions over which these are means.
    """

    flops: float
    encoder_flops: float
    language_model_flops: float
    prompt_tokens: float
    n: int


def count_answer(asker: Asker, samples: Sequence[Sample]) -> AnswerCost:
    """Count what answers cost, each from files and by itself; nothing that was kept is used.

    Args:
        asker: Whom to ask.
        samples: Samples to choose from, evenly.
    """
    totals = _Totals()
    reader = _WatchedReader(asker.reader.encoders)
    asker = replace(asker, reader=reader, media=None)
    chosen = samples[:: max(1, len(samples) // COUNTED)][:COUNTED]
    for sample in chosen:
        # Attention in its plain form, since fused kernels are not counted on every device.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            reader.watch(counter)
            with _watched(asker.model, counter, totals):
                list(replies(asker, [sample]))
        totals.all += counter.get_total_flops()
    count = len(chosen)
    mean = (total / count for total in (totals.all, reader.flops, totals.language_model, totals.prompt_tokens))
    return AnswerCost(*mean, count)


@dataclass
class _Totals:
    all: int = 0
    language_model: int = 0
    prompt_tokens: int = 0


class _WatchedReader(SideReader):
    """Reads side channels from files, without a store, and counts what that takes."""

    flops = 0

    def watch(self, counter: FlopCounterMode) -> None:
        self._counter = counter

    def make(self, channel: str, path: Path, video: Path | None) -> SideChannel | None:
        before = self._counter.get_total_flops()
        signal = super().make(channel, path, video)
        self.flops += self._counter.get_total_flops() - before
        return signal


@contextmanager
def _watched(model: PaveModel, counter: FlopCounterMode, totals: _Totals) -> Iterator[None]:
    """Count the operations of the language model, and the length of what it reads first."""
    language_model = model.language_model
    before: list[int] = []

    def begin(module: nn.Module, arguments: Any, options: dict[str, Any]) -> None:
        if not before:
            read = options.get("inputs_embeds")
            totals.prompt_tokens += (read if read is not None else options["input_ids"]).shape[1]
        before.append(counter.get_total_flops())

    def end(*_: Any) -> None:
        totals.language_model += counter.get_total_flops() - before[-1]

    handles = [
        language_model.register_forward_pre_hook(begin, with_kwargs=True),
        language_model.register_forward_hook(end),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
