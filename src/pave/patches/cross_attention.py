"""The patch of the paper: cross-attention from a video's tokens to its side channel, step by step."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pave.config import PatchConfig
from pave.patches.align import Seconds
from pave.patches.attention import Layer, tie
from pave.patches.batch import Video, check_batch, pack
from pave.patches.memory import ComposedMemory, Memory, ProjectedMemory, SideMaps, composing_pays, concatenate, project
from pave.patches.patch import ResidualPatch
from pave.patches.plan import Plan, align, plan, resamples
from pave.patches.ragged import Layout
from pave.types import SideChannel

TOKENS_AT_ONCE = 3072
"""Tokens of whole videos, or of their side channels, that go through together: what is small in one piece, the rest in
bounded memory."""

TOKENS_WITH_GRADIENTS = 16384
"""The same where gradients are kept: all pieces are held anyway, and fewer are quicker."""


@dataclass(frozen=True)
class Fused:
    """Videos after the layers.

    Args:
        videos: Videos that went through together; every one has a side channel.
        tokens: What the layers made of their active query tokens (active tokens, hidden), in the batch's order.
        layout: Which tokens those are.
    """

    videos: list[Video]
    tokens: Tensor
    layout: Layout


class Output(nn.Module):
    """Two linear layers with a GELU between them, from the patch's width to the language model's."""

    def __init__(self, hidden_dim: int, token_dim: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_dim, 2 * hidden_dim)
        self.down = nn.Linear(2 * hidden_dim, token_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (tokens, hidden) to (tokens, C)."""
        mapped: Tensor = self.down(F.gelu(self.up(tokens)))
        return mapped


class TanhGate(nn.Module):
    """One number whose tanh scales a residual: another way to start at 0, without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, residual: Tensor) -> Tensor:
        """Return the scaled residual, of the same shape."""
        return residual * self.weight.tanh()


class CrossAttentionPatch(ResidualPatch):
    """The paper's fusion: temporally aligned cross-attention, then a gate that starts at zero (PAVE, section 3.2).

    A fresh patch therefore adds exactly 0. So does a video step without any side step in its window, at any time.

    Raises:
        InputError: If a width is still to be filled in by a base.
    """

    def __init__(self, config: PatchConfig) -> None:
        super().__init__(config)
        hidden = config.hidden_dim
        self.query_projection = nn.Linear(config.query_dim, hidden)
        memory = config.memory_dim or hidden
        self.key_projection = nn.Linear(config.side_dim, memory)
        tied = config.value_projection == "tied"
        self.layers = nn.ModuleList(Layer(hidden, memory, config.heads, tied) for _ in range(config.layers))
        self.output = Output(hidden, config.token_dim)
        if config.gate == "tanh":
            self.tanh_gate = TanhGate()
        else:
            self.norm = nn.LayerNorm(config.token_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights: torch's default for linear layers, biases 0, and a final norm or gate of 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.tanh_gate.weight if self.config.gate == "tanh" else self.norm.weight)

    # Under torch.compile only the dense layers compile, so that a batch of other sizes does not mean another graph.
    @torch.compiler.disable(recursive=False)  # type: ignore[untyped-decorator, no-untyped-call]
    def forward(
        self,
        queries: Sequence[Tensor],
        sides: Sequence[SideChannel | None],
        query_times_sec: Sequence[Tensor | Sequence[float]],
        query_grids: Sequence[tuple[int, int]] | None = None,
    ) -> list[Tensor]:
        """See :meth:`ResidualPatch.forward`."""
        videos = check_batch(self.config, queries, sides, query_times_sec, query_grids)
        present = [video for video in videos if video.side is not None]
        at_once = TOKENS_WITH_GRADIENTS if torch.is_grad_enabled() else TOKENS_AT_ONCE
        maps = self._side_maps()
        runs = self._runs(present, maps, at_once)
        fused = [self._fuse(run, made, maps) for run, made in zip(runs, self._plans(runs), strict=True)]
        # Twice, since the output layers are twice as wide as the others.
        outputs = pack(fused, lambda run: 2 * len(run.tokens), at_once)
        residuals = iter([residual for part in outputs for residual in self._residuals(part)])
        unused = [] if present else list(self.parameters())
        return [self._zeros(video, unused) if video.side is None else next(residuals) for video in videos]

    def attention_maps(
        self,
        queries: Sequence[Tensor],
        sides: Sequence[SideChannel | None],
        query_times_sec: Sequence[Tensor | Sequence[float]],
        query_grids: Sequence[tuple[int, int]] | None = None,
    ) -> list[Tensor | None]:
        """See :meth:`ResidualPatch.attention_maps`; a mean over layers, heads and the tokens of a step."""
        videos = check_batch(self.config, queries, sides, query_times_sec, query_grids)
        with torch.no_grad():
            return [self._attention_map(video) for video in videos]

    @property
    def residual_size(self) -> float | None:
        """See :attr:`ResidualPatch.residual_size`: the root mean square of the final norm's gain."""
        return self.norm.weight.detach().float().square().mean().sqrt().item() if self.config.gate == "norm" else None

    def flops(self, query_times_sec: Seconds, query_tokens: int, side_times_sec: Seconds, side_tokens: int) -> int:
        """See :meth:`Patch.flops`."""
        config = self.config
        hidden = config.hidden_dim
        aligned = align(config, query_times_sec, side_times_sec)
        windows = aligned.windows.counts * side_tokens
        queries = query_tokens * int((windows > 0).sum())
        softmax = bool((windows > 1).any())
        memory = config.memory_dim or hidden
        separate = config.value_projection == "separate"
        own, read = (config.layers * hidden * (1 + each) for each in (separate, separate and softmax))
        side_total = len(side_times_sec) * side_tokens
        composes = composing_pays(side_total, config.side_dim, memory, own, gradients=False)
        if composes and aligned.resampling is None:
            reading = (side_total + memory) * config.side_dim * read
        else:
            reading = side_total * config.side_dim * memory + aligned.steps * side_tokens * memory * read
        layer = 4 * queries * hidden
        if softmax:
            layer += queries * hidden + 2 * query_tokens * int(windows.sum())
        asked = len(query_times_sec) * query_tokens * config.query_dim * hidden
        outputs = 2 * queries * (hidden + config.token_dim) * hidden
        return 2 * (asked + reading + config.layers * layer * hidden + outputs)

    def _zeros(self, video: Video, unused: list[nn.Parameter]) -> Tensor:
        """Return the residual of a video without a side channel, tied to parameters that the batch does not use."""
        shape = (*video.queries.shape[:2], self.config.token_dim)
        return tie(video.queries.new_zeros(shape), unused)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _runs(self, videos: list[Video], maps: SideMaps, at_once: int) -> list[list[Video]]:
        """Return the videos in runs that go through together."""
        # What is composed hangs on the video alone, so that its result is the same in any batch.
        alike = groupby(videos, lambda video: self._composes(video, maps))
        return [run for _, group in alike for run in pack(group, lambda video: video.extent, at_once)]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _plans(self, runs: list[list[Video]]) -> list[Plan]:
        """Return the plan of each run; runs of equal sizes and times share one."""
        made: dict[Hashable, Plan] = {}
        keys = [tuple(video.timing for video in run) for run in runs]
        for key, run in zip(keys, runs, strict=True):
            if key not in made:
                made[key] = plan(self.config, run, self.query_projection.weight)
        return [made[key] for key in keys]

    @torch.compiler.disable(recursive=False)  # type: ignore[untyped-decorator, no-untyped-call]
    def _fuse(self, videos: list[Video], made: Plan, maps: SideMaps) -> Fused:
        """Send videos that all have a side channel through the layers."""
        tokens, memory = self._queries(videos, made), self._memory(videos, made, maps)
        for layer in self.layers:
            tokens = layer(tokens, memory, made.layout, made.rotations)
        if made.layout.restore is not None:
            tokens = tokens.index_select(0, made.layout.restore)
        return Fused(videos, tokens, made.layout)

    @torch.compiler.disable(recursive=False)  # type: ignore[untyped-decorator, no-untyped-call]
    def _residuals(self, runs: list[Fused]) -> list[Tensor]:
        """Return the residuals of all videos of the runs."""
        mapped = self.output(concatenate([run.tokens for run in runs]))
        mapped = self.tanh_gate(mapped) if self.config.gate == "tanh" else self.norm(mapped)
        residuals = []
        parts = torch.split(mapped, [len(run.tokens) for run in runs])
        for run, part in zip(runs, parts, strict=True):
            spread = torch.split(_spread(part, run.layout), [video.tokens for video in run.videos])
            for video, residual in zip(run.videos, spread, strict=True):
                residuals.append(residual.view(*video.queries.shape[:2], -1).to(video.queries))
        return residuals

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _queries(self, videos: list[Video], made: Plan) -> Tensor:
        """Return the projected query tokens (tokens, hidden) in the layout's order."""
        projected = project(self.query_projection, [video.queries for video in videos])
        return projected if made.layout.order is None else projected.index_select(0, made.layout.order)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _memory(self, videos: list[Video], made: Plan, maps: SideMaps) -> Memory:
        """Return the side tokens as the layers read them; all videos compose, or none does."""
        scale = self.config.side_scale
        features = [video.channel.values if scale == 1 else video.channel.values * scale for video in videos]
        if self._composes(videos[0], maps):
            return ComposedMemory(maps, features)
        return ProjectedMemory(maps, features, made.blend)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _side_maps(self) -> SideMaps:
        layers = cast("Iterable[Layer]", self.layers)
        return SideMaps(self.key_projection, [reader for layer in layers for reader in layer.attention.readers])

    def _composes(self, video: Video, maps: SideMaps) -> bool:
        """Whether the side channel is read through composed maps; not if it is resampled, which is best done once."""
        side = video.channel
        if resamples(self.config, len(video.times_sec), side.steps):
            return False
        return maps.composing_pays(side.steps * side.tokens)

    def _attention_map(self, video: Video) -> Tensor | None:
        if video.side is None:
            return None
        made = plan(self.config, [video], self.query_projection.weight)
        aligned = align(self.config, video.times_sec, video.channel.times_sec.numpy())
        total = torch.zeros(len(video.times_sec), aligned.steps, device=self.query_projection.weight.device)
        if made.layout.groups:
            tokens, memory = self._queries([video], made), self._memory([video], made, self._side_maps())
            step_of_token = torch.arange(aligned.steps * video.channel.tokens, device=total.device)
            step_of_token = step_of_token // video.channel.tokens
            for layer in cast("Iterable[Layer]", self.layers):
                for group in made.layout.groups:
                    weights = layer.attention.weights(tokens, memory, group, made.rotations)
                    rows = torch.from_numpy(group.rows).to(total.device)
                    total[rows] = total[rows].scatter_add(1, group.gather(step_of_token), weights)
                tokens = layer(tokens, memory, made.layout, made.rotations)
        if aligned.resampling is not None:
            total = total @ torch.from_numpy(aligned.resampling.matrix()).to(total)
        return total / len(self.layers)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _spread(residual: Tensor, layout: Layout) -> Tensor:
    """Put residuals (active tokens, C) at their places among all tokens of the batch; the others are exactly 0."""
    if layout.active is None:
        return residual
    return residual.new_zeros(layout.tokens, residual.shape[1]).index_copy(0, layout.active, residual)
