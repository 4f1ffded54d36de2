"""One pass of the tiny base over lessons: batches, logits where answers are due, gradients, accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pave.blindspot.lessons import PREFIX, Lesson
from pave.blindspot.tiny_base import Architecture


@dataclass(frozen=True)
class Batch:
    """B lessons of at most L tokens, V of them with frames.

    Attributes:
        tokens: (B, L) token numbers.
        positions: (B, L) positions for the language model.
        mask: (B, 1, L, L) whether a token (row) may attend to another (column).
        targets: (B, L - 1) the next token where it is part of an answer, else -100.
        pixels: (V, T, 3, H, W) in -1..1, or None where no lesson has frames.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor
    targets: Tensor
    pixels: Tensor | None


def collate(lessons: Sequence[Lesson], rng: np.random.Generator | None) -> Batch:
    """Put lessons of one number of frames together; with ``rng``, their light and noise are varied a little."""
    length = max(len(lesson.tokens) for lesson in lessons)

    def padded(name: str, fill: int) -> Tensor:
        rows = np.full((len(lessons), length), fill, np.int64)
        for row, lesson in zip(rows, lessons, strict=True):
            row[: len(lesson.tokens)] = getattr(lesson, name)
        return torch.from_numpy(rows)

    tokens, block = padded("tokens", 0), padded("block", -1)
    targets = torch.where(padded("learned", 0).bool(), tokens, -100)[:, 1:]
    same = block[:, :, None] == block[:, None, :]
    mask = (same | (block[:, None, :] == PREFIX)).tril()
    frames = [lesson.frames for lesson in lessons if lesson.frames is not None]
    pixels = vary(np.stack(frames), rng) if frames else None
    return Batch(tokens, padded("positions", 0), mask[:, None], targets, pixels)


def vary(frames: np.ndarray, rng: np.random.Generator | None) -> Tensor:
    """Return what the processor would make of the frames, (V, T, 3, H, W) in -1..1; with ``rng``, varied a little."""
    pixels = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    if rng is None:
        return pixels
    clips = len(frames)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (clips, 1, 1, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.08, 0.08, (clips, 1, 1, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(pixels.shape, np.float32)) * 0.02
    return (pixels * gain + shift + noise).clamp(-1, 1)


def answer_logits(architecture: Architecture, model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the logits where an answer token is due, (A, vocabulary), and those tokens, (A,)."""
    films: dict[str, Tensor] = {}
    if batch.pixels is not None:
        films = {"pixel_values_videos": architecture.pixels(batch.pixels), **architecture.beside(len(batch.pixels))}
    hidden = model.model(
        input_ids=batch.tokens,
        attention_mask=batch.mask,
        position_ids=architecture.positions(model.model, batch.positions, bool(films)),
        use_cache=False,
        **films,
    ).last_hidden_state
    due = batch.targets != -100
    return model.lm_head(hidden[:, :-1][due]).float(), batch.targets[due]


def answer_loss(architecture: Architecture, model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the cross-entropy summed over the answer tokens."""
    return nn.functional.cross_entropy(*answer_logits(architecture, model, batch), reduction="sum")


def set_gradients(
    losses: Sequence[Callable[[], Tensor]], parameters: Sequence[nn.Parameter], pool: ThreadPoolExecutor
) -> float:
    """Set the gradients of the sum of losses, clipped to norm 1, one thread a loss, and return that sum.

    Threads over parts of the batch wait for each other once a step, threads inside each operation thousands of times:
    on shared cores that is the difference between fast and slow.
    """

    def work(loss_of: Callable[[], Tensor]) -> tuple[float, tuple[Tensor, ...]]:
        loss = loss_of()
        return loss.item(), torch.autograd.grad(loss, parameters, materialize_grads=True)

    results = list(pool.map(work, losses))
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.stack([gradients[index] for _, gradients in results]).sum(0)
    nn.utils.clip_grad_norm_(parameters, 1.0)
    return sum(loss for loss, _ in results)


def optimizer_and_schedule(
    groups: Sequence[tuple[Sequence[nn.Parameter], float]], steps: int, *, warmup: int, weight_decay: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW over (parameters, learning rate) groups, decay on matrices only, and its schedule.

    The rate stays high until the last 30 % of the steps: looking facts up is learned in a late jump.
    """
    chosen = [
        {
            "params": [p for p in parameters if (p.ndim >= 2) == decayed],
            "lr": rate,
            "weight_decay": decayed * weight_decay,
        }
        for parameters, rate in groups
        for decayed in (True, False)
    ]
    optimizer = torch.optim.AdamW(chosen, betas=(0.9, 0.98))

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warmup, max(0.02, (steps - step) / (0.3 * steps)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


@torch.no_grad()
def accuracy_by_form(
    architecture: Architecture, model: PreTrainedModel, lessons: Sequence[Lesson]
) -> dict[str, float]:
    """Return the share of questions whose every answer token is the likeliest, given the ones before it."""
    model.eval()
    right: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(lessons), 32):
        part = lessons[start : start + 32]
        batch = collate(part, None)
        logits, targets = answer_logits(architecture, model, batch)
        hits = torch.ones_like(batch.targets, dtype=torch.bool)
        hits[batch.targets != -100] = logits.argmax(-1) == targets
        for lesson, row in zip(part, hits.numpy(), strict=True):
            block = lesson.block[1:]
            for number, form in enumerate(lesson.forms, start=1):
                right[form].append(bool(row[: len(block)][block == number].all()))
    model.train()
    return {form: float(np.mean(values)) for form, values in right.items()}
