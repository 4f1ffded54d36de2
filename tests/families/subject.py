"""A tiny base of one family, what it says by itself, and the same base with two trained patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from pave import LoraSpec, PatchConfig, PaveModel, SideChannel
from pave.bases.family import Family
from tests.batches import randomize
from tests.families.tiny import Row, batch, make_base, rows

SIDE_DIM = 8
CHANNELS = ("audio", "depth")
"""One token a step, as sound has, asking before the projector where that is possible; and a dense one."""

GREEDY: dict[str, Any] = {
    "max_new_tokens": 4,
    "min_new_tokens": 4,
    "do_sample": False,
    "pad_token_id": 0,
    # What stands for media in a prompt is never an answer.
    "suppress_tokens": list(range(190, 200)),
}
BEAMS = {**GREEDY, "num_beams": 2}


@dataclass
class Stock:
    """What a base says alone: a tensor, or the error with which transformers itself fails."""

    forward: Tensor | Exception
    greedy: Tensor | Exception
    beams: Tensor | Exception
    uncached: Tensor | Exception


@dataclass
class Subject:
    """A family under test.

    Args:
        name: Its name in the records.
        model: Its base with trained patches.
        stock: What the base said before it was wrapped, if anybody listened.
    """

    name: str
    model: PaveModel
    stock: Stock | None = None

    @property
    def family(self) -> Family:
        return self.model.family

    def samples(self, case: str = "two") -> tuple[Row, ...]:
        return rows(self.name, case)

    def times(self, samples: tuple[Row, ...] | list[Row], shift: float = 0.0) -> list[Tensor]:
        """Seconds of the frames of each video, unevenly spaced."""
        videos = [video for sample in samples for video in sample.videos]
        return [0.3 + shift + 0.7 * torch.arange(steps * self.family.frames_per_step) ** 1.1 for steps, _ in videos]

    def side(self, channel: str, samples: tuple[Row, ...] | list[Row]) -> dict[str, list[SideChannel | None]]:
        """A signal for each video, told by what the video holds, so that a sample's is the same alone."""
        videos = [(sample, video) for sample in samples for video in sample.videos]
        return {
            channel: [_signal(channel, sum(sample.tokens["input_ids"].shape) + steps) for sample, (steps, _) in videos]
        }

    def call(
        self, channel: str, samples: tuple[Row, ...] | list[Row], side: Literal["left", "right"] = "left"
    ) -> dict[str, Any]:
        """Inputs of a batch, its side channel and times."""
        given = {"side": self.side(channel, samples), "video_times_sec": self.times(samples), "patches": [channel]}
        return {**batch(samples, side), **given}

    def logits(self, **call: Any) -> Tensor:
        """Logits of all tokens, whatever was said before."""
        return _logits(self.model.base, self.model, call)

    def alone(self, channel: str, ask: Callable[[dict[str, Any]], Tensor]) -> list[Tensor]:
        """What is said to each sample by itself, with its patch."""
        return [ask(self.call(channel, [sample])) for sample in self.samples()]


def make_subject(name: str, kind: str = "cross_attention") -> Subject:
    """Build a family's base, hear it alone, and put patches of one type on it."""
    # Frozen before it is heard: torch chooses other kernels for weights without gradients, whose last bits differ.
    base = make_base(name).requires_grad_(False)
    inputs = batch(rows(name))
    stock = Stock(
        _try(lambda: _logits(base, base, inputs)),
        _try(lambda: base.generate(**inputs, **GREEDY)),
        _try(lambda: base.generate(**inputs, **BEAMS)),
        _try(lambda: base.generate(**inputs, **GREEDY, use_cache=False)),
    )
    model = PaveModel.from_base(base)
    for channel in CHANNELS:
        config = patch_config(model.family, channel, kind)
        model.add_patch(channel, config, LoraSpec(r=2, alpha=2, dropout=0.0))
        _train(model, channel)
    model.set_trainable(CHANNELS)
    return Subject(name, model, stock)


def patch_config(family: Family, channel: str, kind: str = "cross_attention") -> PatchConfig:
    """A small patch; that of the sound-like channel asks before the projector, if the family can."""
    if kind == "append":
        return PatchConfig(channel=channel, side_dim=SIDE_DIM, hidden_dim=16, type="append", query="projected")
    before = channel == "audio" and family.vision_dim > 0
    config = PatchConfig(channel=channel, side_dim=SIDE_DIM, hidden_dim=16, heads=2, layers=1)
    return replace(config, query="vision" if before else "projected")


def _train(model: PaveModel, channel: str) -> None:
    """Give a patch weights that do something, but do not turn the last bits of a tiny model into visible digits."""
    randomize(model, channel)
    with torch.no_grad():
        for weight in [*model.patches[channel].parameters(), *model.lora.parameters(channel)]:
            weight.mul_(0.5)


def _signal(channel: str, seed: int) -> SideChannel:
    tokens = 4 if channel == "depth" else 1
    generator = torch.Generator().manual_seed(seed)
    return SideChannel(torch.randn(5, tokens, SIDE_DIM, generator=generator), torch.arange(5) * 0.6)


def _logits(base: Any, model: Any, call: dict[str, Any]) -> Tensor:
    if hasattr(base.base_model, "rope_deltas"):
        base.base_model.rope_deltas = None
    with torch.no_grad():
        found: Tensor = model(**call).logits
    return found[call["attention_mask"].bool()]


def _try(ask: Callable[[], Tensor]) -> Tensor | Exception:
    try:
        return ask()
    except Exception as error:
        return error
