"""Teaches the tiny base to see, as image-text pretraining does for a big one.

Each pooled and projected token of a frame must have as its nearest words, among colours, shapes and places, those of
what stands in its half of the frame. Video tokens and words then live in one space.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration

from pave.blindspot.learning import optimizer_and_schedule, set_gradients, vary
from pave.blindspot.observation import PLACES
from pave.blindspot.scene import COLOURS, SHAPES
from pave.blindspot.stills import UNKNOWN, Stills
from pave.blindspot.vocabulary import vocabulary

logger = logging.getLogger(__name__)

_WORDS = (("nothing", *COLOURS), ("nothing", *SHAPES), PLACES)


def train_sight(
    model: LlavaOnevisionForConditionalGeneration,
    stills: Stills,
    *,
    steps: int,
    stills_per_step: int,
    learning_rate: float,
    seed: int,
    pool: ThreadPoolExecutor,
) -> float:
    """Train tower, projector and word embeddings in place; return the share of things named wholly right.

    The last tenth of the frames is kept apart for that count.
    """
    rng = np.random.default_rng([seed, 3])
    train_count = len(stills.pictures) * 9 // 10
    flash_head = _flash_head(model, seed)
    core = model.model
    trained = (core.vision_tower, core.multi_modal_projector, model.get_input_embeddings(), flash_head)
    parameters = [parameter for module in trained for parameter in module.parameters()]
    optimizer, schedule = optimizer_and_schedule([(parameters, learning_rate)], steps, warmup=50, weight_decay=0.05)
    for step in range(1, steps + 1):
        halves = np.array_split(rng.integers(train_count, size=stills_per_step), 2)
        batches = [_batch(stills, half, rng) for half in halves]
        losses = [lambda batch=batch: _loss(model, flash_head, *batch) / stills_per_step for batch in batches]
        loss = set_gradients(losses, parameters, pool)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            named = _accuracy(model, flash_head, stills, train_count)
            logger.info("sight, step %d of %d: loss %.3f, named %.3f", step, steps, loss, named)
    _resize(model, stills.pictures[train_count:])
    return _accuracy(model, flash_head, stills, train_count)


@torch.no_grad()
def _resize(model: LlavaOnevisionForConditionalGeneration, pictures: np.ndarray) -> None:
    """Make video tokens as large as a sum of three words: colour, shape, place.

    Training to name things makes them ever larger, and what a layer or a patch adds to a token would not show in it.
    """
    tokens = _tokens(model, vary(pictures[:1000, None], None)[:, 0])
    words = model.get_input_embeddings().weight
    wanted = len(_WORDS) ** 0.5 * words.norm(dim=1).mean()
    last = model.model.multi_modal_projector.linear_2
    for weight in (last.weight, last.bias):
        weight.mul_(wanted / tokens.norm(dim=-1).mean())


def _flash_head(model: LlavaOnevisionForConditionalGeneration, seed: int) -> nn.Linear:
    """Return a head for the colour of a flash; it is thrown away after the training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(model.config.text_config.hidden_size, len(COLOURS) + 1)


def _batch(stills: Stills, chosen: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return varied pixels (P, 3, H, W), half of them mirrored, and labels (P, 5)."""
    pictures, labels = stills.pictures[chosen], stills.labels[chosen].copy()
    mirrored = rng.random(len(chosen)) < 0.5
    pictures[mirrored] = pictures[mirrored, :, ::-1]
    labels[mirrored] = labels[mirrored][:, [2, 3, 0, 1, 4]]
    return vary(pictures[:, None], rng)[:, 0], torch.from_numpy(labels)


def _answers(model: LlavaOnevisionForConditionalGeneration, flash_head: nn.Linear, pixels: Tensor) -> list[Tensor]:
    """Return scores of colours, shapes, places and flash colours for each of the S tokens of a frame, (P, S, ...)."""
    numbers, tokens = vocabulary(), _tokens(model, pixels)
    embeddings = model.get_input_embeddings().weight
    scores = [tokens @ embeddings[[numbers[word] for word in words]].T for words in _WORDS]
    return [*scores, flash_head(tokens)]


def _tokens(model: LlavaOnevisionForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Return the video tokens (P, S, C) of frames."""
    core = model.model
    grid = core.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
    tokens: Tensor = core.apply_pooling(core.multi_modal_projector(grid))
    return tokens


def _token_labels(labels: Tensor, tokens: int) -> list[Tensor]:
    """Return what each token should be named, (P, S) for each of the scores; tokens go row by row."""
    side = round(tokens**0.5)
    column = (torch.arange(tokens) % side) * len(PLACES) // side
    places = column.expand(len(labels), -1)
    return [labels[:, 2 * column], labels[:, 2 * column + 1], places, labels[:, -1:].expand(-1, tokens)]


def _loss(
    model: LlavaOnevisionForConditionalGeneration, flash_head: nn.Linear, pixels: Tensor, labels: Tensor
) -> Tensor:
    scores = _answers(model, flash_head, pixels)
    tokens = scores[0].shape[1]
    losses = [
        nn.functional.cross_entropy(score.transpose(1, 2), label, ignore_index=UNKNOWN, reduction="sum") / tokens
        for score, label in zip(scores, _token_labels(labels, tokens), strict=True)
    ]
    return torch.stack(losses).sum()


@torch.no_grad()
def _accuracy(
    model: LlavaOnevisionForConditionalGeneration, flash_head: nn.Linear, stills: Stills, start: int
) -> float:
    pixels = vary(stills.pictures[start : start + 1000, None], None)[:, 0]
    labels = torch.from_numpy(stills.labels[start : start + 1000])
    scores = _answers(model, flash_head, pixels)
    wanted = _token_labels(labels, scores[0].shape[1])
    right = (scores[0].argmax(-1) == wanted[0]) & (scores[1].argmax(-1) == wanted[1])
    return right[wanted[0] > 0].double().mean().item()
