"""A base with three patches, each with a LoRA of its own, all of which do something."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from pave import LoraSpec, PaveModel, SideChannel
from tests.batches import Batch, make_batch, patch_config, side_channel, take_row
from tests.tiny import make_model

LORAS = {
    "audio": LoraSpec(r=4),
    "depth": LoraSpec(r=2, alpha=8, targets=("q_proj", "v_proj", "down_proj")),
    "views": LoraSpec(r=3, alpha=3),
}
CHANNELS = tuple(LORAS)
EVERY_SET = [["audio"], [], ["audio", "depth"], ["views", "depth", "audio"], ["views"]]


def composed(
    family: str, names: Sequence[str] = CHANNELS, base: PreTrainedModel | None = None, **changes: object
) -> PaveModel:
    model = PaveModel.from_base(base if base is not None else make_model(family))
    for name in names:
        model.add_patch(name, patch_config(channel=name, **changes), LORAS[name])
        wake(model, name)
    return model


def wake(model: PaveModel, name: str, extra: int = 0) -> None:
    """Give a patch weights large enough to be seen, and small enough that sums are exact to 1e-5."""
    generator = torch.Generator().manual_seed(sum(name.encode()) + extra)
    weights = [*(model.patches[name].parameters() if name in model.patches else []), *model.lora.parameters(name)]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)


def with_channels(batch: Batch, rows: int) -> Batch:
    for offset, channel in enumerate(CHANNELS):
        batch.side[channel] = [side_channel(seed=7 * offset + row, steps=3 + row) for row in range(rows)]
    return batch


def channel_batch(family: str, rows: int) -> Batch:
    return with_channels(make_batch(family, rows=rows), rows)


def only(batch: Batch, *channels: str) -> dict[str, list[SideChannel | None]]:
    return {channel: batch.side[channel] for channel in channels}


__all__ = ["CHANNELS", "EVERY_SET", "LORAS", "channel_batch", "composed", "only", "take_row", "wake", "with_channels"]
