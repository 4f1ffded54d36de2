"""Ragged batches of random videos, and tiny patches to run them through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from pave.config import PatchConfig
from pave.patches import build
from pave.patches.cross_attention import CrossAttentionPatch
from pave.types import SideChannel

SIDE_DIM, QUERY_DIM, TOKEN_DIM = 6, 7, 10


@dataclass
class Batch:
    """Arguments of one call of a patch."""

    queries: list[Tensor]
    sides: list[SideChannel | None]
    times_sec: list[Tensor]

    def single(self, index: int) -> Batch:
        return Batch([self.queries[index]], [self.sides[index]], [self.times_sec[index]])

    def arguments(self) -> tuple[list[Tensor], list[SideChannel | None], list[Tensor]]:
        return self.queries, self.sides, self.times_sec


def tiny_config(**changes: Any) -> PatchConfig:
    """Return a configuration of a patch with hidden width 16."""
    sizes = {"side_dim": SIDE_DIM, "query_dim": QUERY_DIM, "token_dim": TOKEN_DIM, "hidden_dim": 16, "heads": 2}
    return PatchConfig(channel="audio", **{**sizes, **changes})


def trained_patch(seed: int = 0, **changes: Any) -> CrossAttentionPatch:
    """Return a patch in float64 whose every parameter is random, the final norm's too."""
    patch = build(tiny_config(**changes)).double()
    assert isinstance(patch, CrossAttentionPatch)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in patch.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4)
    return patch


def make_batch(sizes: list[tuple[int, int, int | None, int]], seed: int = 0) -> Batch:
    """Return videos of sizes (T, S, K, N); K is ``None`` for an absent channel. Times lie anywhere in ten seconds."""
    generator = torch.Generator().manual_seed(seed)

    def times(count: int) -> Tensor:
        # Quarters of a second, so that equal times and steps exactly on a midpoint occur.
        return (torch.randint(0, 41, (count,), generator=generator).double() / 4).sort().values

    batch = Batch([], [], [])
    for steps, tokens, side_steps, side_tokens in sizes:
        batch.queries.append(torch.randn(steps, tokens, QUERY_DIM, generator=generator, dtype=torch.float64))
        batch.times_sec.append(times(steps))
        if side_steps is None:
            batch.sides.append(None)
            continue
        values = torch.randn(side_steps, side_tokens, SIDE_DIM, generator=generator, dtype=torch.float64)
        batch.sides.append(SideChannel(values, times(side_steps)))
    return batch


video_sizes = st.tuples(
    st.integers(1, 5), st.sampled_from([1, 4, 9]), st.none() | st.integers(0, 9), st.sampled_from([1, 2, 4, 9])
)
batches = st.builds(make_batch, st.lists(video_sizes, min_size=1, max_size=5), st.integers(0, 2**16))
"""Batches of one to five videos that differ in everything."""

configs = st.builds(
    dict,
    alignment=st.sampled_from(["time", "index", "none"]),
    positions=st.sampled_from(["none", "rotary_3d", "rotary_time"]),
    value_projection=st.sampled_from(["tied", "separate"]),
    side_scale=st.sampled_from([1.0, 0.5]),
    gate=st.sampled_from(["norm", "tanh"]),
).flatmap(
    lambda chosen: st.builds(
        lambda overlap: {**chosen, "overlap_sec": overlap},
        st.sampled_from([0.0, 0.5, 3.0]) if chosen["alignment"] == "time" else st.just(0.0),
    )
)
"""Every combination of alignment, positions, value projection, scale of the side tokens, gate and overlap."""
