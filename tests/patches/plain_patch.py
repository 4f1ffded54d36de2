"""The patch written out plainly, one video step at a time and in float64: what the batched one must agree with."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pave.patches.cross_attention import CrossAttentionPatch
from pave.types import SideChannel


def plain_residual(
    patch: CrossAttentionPatch, queries: Tensor, side: SideChannel | None, times_sec: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the residual (T,S,C) of one video, and the attention map (T,K) if there is a side channel."""
    config = patch.config
    steps, tokens, _ = queries.shape
    residual = queries.new_zeros(steps, tokens, config.token_dim)
    if side is None:
        return residual, None
    attention_map = queries.new_zeros(steps, side.steps)
    if side.steps == 0:
        return residual, attention_map

    mixing = torch.eye(side.steps, dtype=torch.float64)
    if config.alignment == "index" and side.steps < steps:
        mixing = torch.zeros(steps, side.steps, dtype=torch.float64)
        for step in range(steps):
            position = step * (side.steps - 1) / (steps - 1)
            low = math.floor(position)
            mixing[step, low] += 1 - (position - low)
            if position > low:
                mixing[step, low + 1] += position - low
    memory = torch.einsum("jk,knd->jnd", mixing, patch.key_projection(config.side_scale * side.values))
    side_times = mixing @ side.times_sec

    for step in range(steps):
        seen = _seen(patch, step, times_sec, side_times)
        if not seen:
            continue
        x = patch.query_projection(queries[step])
        context = memory[seen].flatten(0, 1)
        for layer in patch.layers:
            attention = layer.attention
            key = attention.key(context)
            value = key if attention.value is None else attention.value(context)
            query = attention.query(x)
            if config.positions == "rotary_time":
                heads = config.heads
                query = _turn(query, times_sec[step].expand(tokens), heads)
                key = _turn(key, side_times[seen].repeat_interleave(side.tokens), heads)
            elif config.positions == "rotary_3d":
                query, key = _turn_3d(patch, query, key, side, step, seen, steps, len(memory))
            split = [part.unflatten(1, (config.heads, -1)) for part in (query, key, value)]
            scores = torch.einsum("qhd,khd->hqk", split[0], split[1]) / math.sqrt(config.hidden_dim / config.heads)
            shares = scores.softmax(dim=-1)
            x = x + torch.einsum("hqk,khd->qhd", shares, split[2]).flatten(1)
            x = x + layer.feed_forward.down(F.gelu(layer.feed_forward.up(layer.feed_forward.norm(x))))
            a_step = shares.mean(dim=(0, 1)).view(len(seen), side.tokens).sum(dim=1)
            attention_map[step] += a_step @ mixing[seen] / config.layers
        made = patch.output.down(F.gelu(patch.output.up(x)))
        if config.gate == "tanh":
            residual[step] = torch.tanh(patch.tanh_gate.weight) * made
        else:
            residual[step] = patch.norm(made)
    return residual, attention_map


def _seen(patch: CrossAttentionPatch, step: int, times_sec: Tensor, side_times: Tensor) -> list[int]:
    steps, side_steps = len(times_sec), len(side_times)
    if patch.config.alignment == "index":
        length, longer = divmod(side_steps, steps)
        start = step * length + min(step, longer)
        return list(range(start, start + length + (step < longer)))
    low, high = -math.inf, math.inf
    if patch.config.alignment == "none":
        return list(range(side_steps))
    if step > 0:
        low = (times_sec[step - 1] + times_sec[step]).item() / 2 - patch.config.overlap_sec
    if step < steps - 1:
        high = (times_sec[step] + times_sec[step + 1]).item() / 2 + patch.config.overlap_sec
    return [number for number, time in enumerate(side_times.tolist()) if low <= time < high]


def _rotate(channels: Tensor, angles: Tensor, heads: int) -> Tensor:
    """Turn channels (tokens, hidden) by angles (tokens, head width / 2), as complex numbers."""
    split = channels.unflatten(1, (heads, 2, -1))
    turned = torch.complex(split[:, :, 0], split[:, :, 1]) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.stack([turned.real, turned.imag], dim=2).flatten(1)


def _turn(channels: Tensor, seconds: Tensor, heads: int) -> Tensor:
    half = channels.shape[1] // heads // 2
    shortest, longest = math.log(0.05), math.log(1000.0)
    periods = [math.exp(shortest + (longest - shortest) * j / max(half - 1, 1)) for j in range(half)]
    speeds = torch.tensor([2 * math.pi / period for period in periods], dtype=torch.float64)
    return _rotate(channels, seconds[:, None] * speeds, heads)


def _turn_3d(
    patch: CrossAttentionPatch,
    query: Tensor,
    key: Tensor,
    side: SideChannel,
    step: int,
    seen: list[int],
    steps: int,
    side_steps: int,
) -> tuple[Tensor, Tensor]:
    heads = patch.config.heads
    width = math.isqrt(len(query))
    longest = max(steps, side_steps)
    rows, columns = max(width, side.grid[0]), max(width, side.grid[1])

    def spread(index: int, count: int) -> int:
        return index * (longest - 1) // (count - 1) if count > 1 else 0

    def place(times: list[int], grid: tuple[int, int]) -> Tensor:
        centres = [
            (time, rows * (2 * row + 1) // (2 * grid[0]), columns * (2 * column + 1) // (2 * grid[1]))
            for time in times
            for row in range(grid[0])
            for column in range(grid[1])
        ]
        half = patch.config.hidden_dim // heads // 2
        in_time = math.ceil(half / 4)
        axis = [0 if j < in_time else 1 if j < in_time + math.ceil((half - in_time) / 2) else 2 for j in range(half)]
        return torch.tensor(
            [[centre[axis[j]] * 10000.0 ** (-2 * j / (2 * half)) for j in range(half)] for centre in centres],
            dtype=torch.float64,
        )

    query = _rotate(query, place([spread(step, steps)], (width, width)), heads)
    return query, _rotate(key, place([spread(index, side_steps) for index in seen], side.grid), heads)
