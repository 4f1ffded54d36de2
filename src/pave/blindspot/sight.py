"""Teaches the tiny base to see, as image-text pretraining does for a big one.

Each pooled and projected token of a frame must have as its nearest words, among colours, shapes and places, those of
what stands in its half of the frame. Video tokens and words then live in one space. Where a base merges two frames
into a step, its upper tokens must tell the first of them and its lower ones the second, and which of the two they are.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pave.blindspot.learning import optimizer_and_schedule, set_gradients, vary
from pave.blindspot.observation import PLACES
from pave.blindspot.scene import COLOURS, SHAPES
from pave.blindspot.stills import UNKNOWN, Stills
from pave.blindspot.tiny_base import Architecture
from pave.blindspot.vocabulary import vocabulary

logger = logging.getLogger(__name__)

_WORDS = (("nothing", *COLOURS), ("nothing", *SHAPES), PLACES)
_ROWS = ("up", "down")


def train_sight(
    architecture: Architecture,
    model: PreTrainedModel,
    stills: Stills,
    *,
    steps: int,
    stills_per_step: int,
    learning_rate: float,
    seed: int,
    pool: ThreadPoolExecutor,
) -> float:
    """Train tower, projector and word embeddings in place; return the share of tokens that name their thing right.

    The last tenth of the frames is kept apart for that count. Where a base merges frames, each training step takes
    ``stills_per_step`` for every one of them, and so as many tokens as of any other base.
    """
    rng = np.random.default_rng([seed, 3])
    shape = (stills_per_step, architecture.frames_per_step)
    train_count = len(stills.pictures) * 9 // 10
    apart = _apart(stills, train_count, architecture.frames_per_step)
    namer = _Namer(architecture, model, _flash_head(model, seed))
    trained = (architecture.projector(model.model), model.get_input_embeddings(), namer.flash_head)
    parameters = [*architecture.tower_weights(model.model), *(p for module in trained for p in module.parameters())]
    optimizer, schedule = optimizer_and_schedule([(parameters, learning_rate)], steps, warmup=50, weight_decay=0.05)
    for step in range(1, steps + 1):
        halves = np.array_split(rng.integers(train_count, size=shape), 2)
        batches = [_batch(stills, half.ravel(), rng) for half in halves]
        losses = [lambda batch=batch: namer.loss(*batch) / stills_per_step for batch in batches]
        loss = set_gradients(losses, parameters, pool)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            named = namer.accuracy(apart)
            logger.info("sight, step %d of %d: loss %.3f, named %.3f", step, steps, loss, named)
    _resize(namer, apart.pictures)
    return namer.accuracy(apart)


def _apart(stills: Stills, start: int, frames: int) -> Stills:
    """Return at most a thousand of the frames from ``start`` on, as many as fill whole steps."""
    stop = start + min(1000, len(stills.pictures) - start) // frames * frames
    return Stills(stills.pictures[start:stop], stills.labels[start:stop])


class _Namer:
    """Names what each token of a step tells: colour, shape, place, the row where it matters, and colour of a flash."""

    def __init__(self, architecture: Architecture, model: PreTrainedModel, flash_head: nn.Linear) -> None:
        self.architecture = architecture
        self.model = model
        self.flash_head = flash_head
        self.words = _WORDS if architecture.frames_per_step == 1 else (*_WORDS, _ROWS)

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return the video tokens (P,S,C) of steps, from as many frames (P * F,3,H,W) as they merge."""
        steps = pixels.unflatten(0, (-1, self.architecture.frames_per_step))
        return self.architecture.step_tokens(self.model.model, steps)

    def scores(self, pixels: Tensor) -> list[Tensor]:
        """Return scores of each kind of words and of flash colours for the S tokens of each step, (P,S,...)."""
        numbers, tokens = vocabulary(), self.tokens(pixels)
        embeddings = self.model.get_input_embeddings().weight
        scores = [tokens @ embeddings[[numbers[word] for word in words]].T for words in self.words]
        return [*scores, self.flash_head(tokens)]

    def wanted(self, labels: Tensor, tokens: int) -> list[Tensor]:
        """Return what each token should be named, (P,S) for each of the scores; tokens go row by row.

        Args:
            labels: Of the frames, in order (P * F,5).
            tokens: S.
        """
        frames = self.architecture.frames_per_step
        labels = labels.unflatten(0, (-1, frames))
        side = round(tokens**0.5)
        place = torch.arange(tokens)
        column, row = (place % side) * len(PLACES) // side, (place // side) * frames // side
        own = [column.expand(len(labels), -1), row.expand(len(labels), -1)][: len(self.words) - 2]
        return [labels[:, row, 2 * column], labels[:, row, 2 * column + 1], *own, labels[:, row, -1]]

    def loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy, summed over steps and kinds of words."""
        scores = self.scores(pixels)
        tokens = scores[0].shape[1]
        losses = [
            nn.functional.cross_entropy(score.transpose(1, 2), label, ignore_index=UNKNOWN, reduction="sum") / tokens
            for score, label in zip(scores, self.wanted(labels, tokens), strict=True)
        ]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def accuracy(self, stills: Stills) -> float:
        """Return the share of tokens that name colour and shape of their thing right."""
        scores = self.scores(vary(stills.pictures[:, None], None)[:, 0])
        wanted = self.wanted(torch.from_numpy(stills.labels), scores[0].shape[1])
        right = (scores[0].argmax(-1) == wanted[0]) & (scores[1].argmax(-1) == wanted[1])
        return right[wanted[0] > 0].double().mean().item()


@torch.no_grad()
def _resize(namer: _Namer, pictures: np.ndarray) -> None:
    """Make video tokens as large as a sum of the words that they name: colour, shape, place.

    Training to name things makes them ever larger, and what a layer or a patch adds to a token would not show in it.
    """
    tokens = namer.tokens(vary(pictures[:, None], None)[:, 0])
    words = namer.model.get_input_embeddings().weight
    wanted = len(namer.words) ** 0.5 * words.norm(dim=1).mean()
    last = namer.architecture.last_linear(namer.model.model)
    for weight in (last.weight, last.bias):
        weight.mul_(wanted / tokens.norm(dim=-1).mean())


def _flash_head(model: PreTrainedModel, seed: int) -> nn.Linear:
    """Return a head for the colour of a flash; it is thrown away after the training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(model.config.text_config.hidden_size, len(COLOURS) + 1)


def _batch(stills: Stills, chosen: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return varied pixels (P,3,H,W), half of them mirrored, and labels (P,5)."""
    pictures, labels = stills.pictures[chosen], stills.labels[chosen].copy()
    mirrored = rng.random(len(chosen)) < 0.5
    pictures[mirrored] = pictures[mirrored, :, ::-1]
    labels[mirrored] = labels[mirrored][:, [2, 3, 0, 1, 4]]
    return vary(pictures[:, None], rng)[:, 0], torch.from_numpy(labels)
