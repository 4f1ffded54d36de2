"""Cross-attention from video tokens to the side tokens of their own window, and the feed-forward layer after it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pave.patches.memory import Memory
from pave.patches.positions import Rotations, rotate
from pave.patches.ragged import Group, Layout, part_of


def tie(tensor: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Add exactly 0, so that unused parameters get a zero gradient: data-parallel training waits for every one."""
    if not torch.is_grad_enabled():
        return tensor
    nothing = [parameter[:0].sum() for parameter in parameters if parameter.requires_grad]
    return tensor + torch.stack(nothing).sum().to(tensor.dtype) if nothing else tensor


def add(tokens: Tensor, update: Tensor) -> Tensor:
    """Return the sum; in place if no gradient asks for what the tokens were, which halves what a layer holds."""
    return tokens + update if torch.is_grad_enabled() else tokens.add_(update)


class AlignedCrossAttention(nn.Module):
    """Multi-head attention of each video step to the side tokens of its window, without an output projection.

    Args:
        hidden_dim: Width of the query tokens.
        memory_dim: Width of the side tokens.
        heads: Attention heads; consecutive blocks of channels.
        tied: Use the key, before any rotation, as the value.
    """

    def __init__(self, hidden_dim: int, memory_dim: int, heads: int, tied: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.key = nn.Linear(memory_dim, hidden_dim)
        self.value = None if tied else nn.Linear(memory_dim, hidden_dim)

    @property
    def readers(self) -> list[nn.Linear]:
        """The maps through which side tokens are read."""
        return [self.key] if self.value is None else [self.key, self.value]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, tokens: Tensor, memory: Memory, layout: Layout, rotations: Rotations | None) -> Tensor:
        """Return query tokens plus what they read (tokens, hidden).

        Args:
            tokens: Query tokens in the layout's order (tokens, hidden); changed in place where no gradient is kept.
            memory: All side tokens.
            layout: Which tokens attend to which.
            rotations: Rotary positions, if any.
        """
        if layout.single:
            keys, values = None, self._values_alone(memory)
        else:
            keys, values = self._keys_and_values(memory, rotations)
        updated = [self._attend(tokens, keys, values, group, rotations) for group in layout.groups]
        if len(updated) == 1:
            return updated[0]
        return torch.cat(updated) if torch.is_grad_enabled() else tokens

    def weights(self, tokens: Tensor, memory: Memory, group: Group, rotations: Rotations | None) -> Tensor:
        """Return the attention (R, side width) of a group without padded queries, a mean over heads and tokens."""
        keys, _ = self._keys_and_values(memory, rotations)
        queries = self._queries(tokens, group, rotations)
        scores = queries @ group.gather(keys).transpose(1, 2).transpose(2, 3) / queries.shape[-1] ** 0.5
        if group.mask is not None:
            scores = scores.masked_fill(~group.mask, float("-inf"))
        shares: Tensor = scores.float().softmax(dim=-1).mean(dim=(1, 2))
        return shares

    def _values_alone(self, memory: Memory) -> Tensor:
        if self.value is None:
            return tie(self._split(memory.through(self.key)), self.query.parameters())
        return tie(self._split(memory.through(self.value)), [*self.query.parameters(), *self.key.parameters()])

    def _keys_and_values(self, memory: Memory, rotations: Rotations | None) -> tuple[Tensor, Tensor]:
        keys = self._split(memory.through(self.key))
        values = keys if self.value is None else self._split(memory.through(self.value))
        return (keys if rotations is None else rotate(keys, rotations.sides)), values

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.view(len(tokens), self.heads, -1)

    def _attend(
        self, tokens: Tensor, keys: Tensor | None, values: Tensor, group: Group, rotations: Rotations | None
    ) -> Tensor:
        part = part_of(tokens, group.tokens)
        if keys is None or group.single:
            return _add_single(part, group.gather(values).flatten(1), group)
        queries = self._queries(tokens, group, rotations)
        chosen_keys = group.gather(keys)
        chosen_values = chosen_keys if keys is values else group.gather(values)
        read = F.scaled_dot_product_attention(
            queries, chosen_keys.transpose(1, 2), chosen_values.transpose(1, 2), attn_mask=group.mask
        )
        flat = read.transpose(1, 2).reshape(-1, part.shape[1])
        return add(part, flat if group.kept is None else flat.index_select(0, group.kept))

    def _queries(self, tokens: Tensor, group: Group, rotations: Rotations | None) -> Tensor:
        """Return the projected queries of a group (R, heads, query width, head width)."""
        queries = self._split(self.query(part_of(tokens, group.tokens)))
        if rotations is not None:
            queries = rotate(queries, rotations.queries.part(group.tokens))
        if group.padding is not None:
            queries = queries.index_select(0, group.padding)
        return queries.view(len(group.rows), -1, *queries.shape[1:]).transpose(1, 2)


def _add_single(tokens: Tensor, values: Tensor, group: Group) -> Tensor:
    """Add the one value of each row (R, hidden) to all tokens of the row."""
    if group.row_of_token is not None:
        return add(tokens, values.index_select(0, group.row_of_token))
    return add(tokens.view(len(values), -1, values.shape[1]), values.unsqueeze(1)).flatten(0, 1)


class FeedForward(nn.Module):
    """LayerNorm, up to twice the width, GELU, and down again; the linear layers have no bias."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim)
        self.up = nn.Linear(hidden_dim, 2 * hidden_dim, bias=False)
        self.down = nn.Linear(2 * hidden_dim, hidden_dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (tokens, hidden) plus their update."""
        update: Tensor = self.down(F.gelu(self.up(self.norm(tokens))))
        return add(tokens, update)


class Layer(nn.Module):
    """Aligned cross-attention and feed-forward, each added to its input (PAVE, section 3.2)."""

    def __init__(self, hidden_dim: int, memory_dim: int, heads: int, tied: bool) -> None:
        super().__init__()
        self.attention = AlignedCrossAttention(hidden_dim, memory_dim, heads, tied)
        self.feed_forward = FeedForward(hidden_dim)

    def forward(self, tokens: Tensor, memory: Memory, layout: Layout, rotations: Rotations | None) -> Tensor:
        """Return the updated query tokens (tokens, hidden)."""
        updated: Tensor = self.feed_forward(self.attention(tokens, memory, layout, rotations))
        return updated
