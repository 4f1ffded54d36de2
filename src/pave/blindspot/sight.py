"""Teaches the tiny base's vision tower to see, as image pretraining does for a big one: linear heads on its pooled
tokens name what stands in each third of a frame; the heads are thrown away."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration

from pave.blindspot.learning import optimizer_and_schedule, set_gradients, vary
from pave.blindspot.stills import LABEL_SIZES, UNKNOWN, Stills

logger = logging.getLogger(__name__)


def train_tower(
    model: LlavaOnevisionForConditionalGeneration,
    stills: Stills,
    *,
    steps: int,
    stills_per_step: int,
    learning_rate: float,
    seed: int,
    pool: ThreadPoolExecutor,
) -> float:
    """Train the vision tower in place and return the share of things on fresh-looking frames named wholly right.

    The last tenth of the frames is kept apart for that count.
    """
    rng = np.random.default_rng([seed, 3])
    train_count = len(stills.pictures) * 9 // 10
    heads = _heads(model, seed)
    parameters = [*model.model.vision_tower.parameters(), *heads.parameters()]
    optimizer, schedule = optimizer_and_schedule([(parameters, learning_rate)], steps, warmup=50, weight_decay=0.05)
    for step in range(1, steps + 1):
        halves = np.array_split(rng.integers(train_count, size=stills_per_step), 2)
        batches = [_batch(stills, half, rng) for half in halves]
        loss = set_gradients(
            [lambda batch=batch: _loss(model, heads, *batch) / stills_per_step for batch in batches], parameters, pool
        )
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            named = _accuracy(model, heads, stills, train_count)
            logger.info("tower, step %d of %d: loss %.3f, named %.3f", step, steps, loss, named)
    return _accuracy(model, heads, stills, train_count)


def _heads(model: LlavaOnevisionForConditionalGeneration, seed: int) -> nn.Linear:
    vision = model.config.vision_config
    pooled_tokens = (vision.image_size // vision.patch_size) ** 2 // 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(pooled_tokens * vision.hidden_size, sum(LABEL_SIZES))


def _batch(stills: Stills, chosen: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return varied pixels (P, 3, H, W), half of them mirrored, and labels (P, 7)."""
    pictures, labels = stills.pictures[chosen], stills.labels[chosen].copy()
    mirrored = rng.random(len(chosen)) < 0.5
    pictures[mirrored] = pictures[mirrored, :, ::-1]
    labels[mirrored] = labels[mirrored][:, [4, 5, 2, 3, 0, 1, 6]]
    return vary(pictures[:, None], rng)[:, 0], torch.from_numpy(labels)


def _answers(model: LlavaOnevisionForConditionalGeneration, heads: nn.Linear, pixels: Tensor) -> tuple[Tensor, ...]:
    grid = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
    return heads(model.model.apply_pooling(grid).flatten(1)).split(LABEL_SIZES, 1)


def _loss(model: LlavaOnevisionForConditionalGeneration, heads: nn.Linear, pixels: Tensor, labels: Tensor) -> Tensor:
    answers = _answers(model, heads, pixels)
    losses = [
        nn.functional.cross_entropy(answer, label, ignore_index=UNKNOWN, reduction="sum")
        for answer, label in zip(answers, labels.T, strict=True)
    ]
    return torch.stack(losses).sum()


@torch.no_grad()
def _accuracy(model: LlavaOnevisionForConditionalGeneration, heads: nn.Linear, stills: Stills, start: int) -> float:
    pixels = vary(stills.pictures[start : start + 1000, None], None)[:, 0]
    labels = torch.from_numpy(stills.labels[start : start + 1000])
    right = torch.stack([answer.argmax(1) for answer in _answers(model, heads, pixels)], 1) == labels
    things = labels[:, :-1:2] > 0
    return (right[:, :-1:2] & right[:, 1::2])[things].double().mean().item()
