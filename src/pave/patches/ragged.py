"""Ragged batches in one pass: which query tokens attend to which side tokens, in a few rectangular groups.

A row is one step of one video. Everything except the attention itself runs on one flat list of tokens, where
raggedness costs nothing. For the attention, rows of like size share a group: a rectangle of query tokens by side
tokens, padded where sizes differ. Rows without side tokens are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pave.patches.align import Integers

MAX_GROUPS = 6
"""Rectangles at most, however much the sizes of the rows differ."""

CPU_BLOCK = 16
"""Keys that torch's attention handles together on a CPU; it is slow on a remainder."""

PADDING_SHARE = 0.05
"""Two groups become one if the padding costs at most this share of the linear layers' work on their tokens."""


@dataclass(frozen=True)
class Rows:
    """Place and size of each row in the flat lists of query tokens and side tokens; all arrays (rows,).

    Args:
        query_start: First query token.
        query_count: Number of query tokens S.
        side_start: First side token of the window.
        side_count: Number of side tokens in the window; 0 leaves the row out.
    """

    query_start: Integers
    query_count: Integers
    side_start: Integers
    side_count: Integers

    def take(self, index: Integers) -> Rows:
        """Return some of the rows."""
        return Rows(self.query_start[index], self.query_count[index], self.side_start[index], self.side_count[index])


@dataclass(frozen=True)
class Group:
    """Rows that attend in one call.

    Args:
        rows: Indices of the rows (R,), in the order of the batch.
        tokens: Where the group's query tokens lie in the layout's order.
        side: Side tokens of the rows (R x side width): a slice where the windows tile them, else an index.
        side_width: Places for side tokens in each row, as many as the longest window needs.
        mask: Which side tokens are real (R, 1, 1, side width); ``None`` if all are.
        padding: For each place (R x query width) the query token that fills it; ``None`` if no place is padded.
        kept: Places that hold a query token of their own, in order; ``None`` if no place is padded.
        row_of_token: Row within the group of each query token; ``None`` if no place is padded.
    """

    rows: Integers
    tokens: slice
    side: slice | Tensor
    side_width: int
    mask: Tensor | None
    padding: Tensor | None
    kept: Tensor | None
    row_of_token: Tensor | None

    @property
    def single(self) -> bool:
        """Whether every window holds one side token, so that attention returns its value whatever the query."""
        return self.side_width == 1

    def gather(self, side: Tensor) -> Tensor:
        """Return the side tokens (side tokens, ...) of each row as (R, side width, ...)."""
        picked = part_of(side, self.side) if isinstance(self.side, slice) else side.index_select(0, self.side)
        return picked.view(len(self.rows), self.side_width, *side.shape[1:])


@dataclass(frozen=True)
class Layout:
    """Groups of rows, and the way from the batch's order of query tokens to theirs and back.

    Args:
        groups: The groups; none if no row has side tokens.
        order: Query token of the batch at each place of the layout; ``None`` if nothing moves or is left out.
        restore: Place in the layout of each query token that takes part, in order; ``None`` if nothing moves.
        active: Query tokens of the batch that take part, in order; ``None`` if all do.
        tokens: Number of query tokens in the batch.
    """

    groups: list[Group]
    order: Tensor | None
    restore: Tensor | None
    active: Tensor | None
    tokens: int

    @property
    def single(self) -> bool:
        """Whether no window holds more than one side token."""
        return all(group.single for group in self.groups)


def part_of(tokens: Tensor, part: slice) -> Tensor:
    """Return a part of the tokens (tokens, ...); all are left as they are, as a slice copies gradients."""
    return tokens if part.stop - part.start == len(tokens) else tokens[part]


def lay_out(rows: Rows, hidden_dim: int, device: torch.device) -> Layout:
    """Group the rows and compute every index that the layers need, once a forward pass.

    Args:
        rows: The rows of the whole batch.
        hidden_dim: Width of the layers, which decides how much padding is cheaper than one more group.
        device: Where the indices go.
    """
    total = int(rows.query_count.sum())
    active_rows = np.flatnonzero(rows.side_count * rows.query_count)
    all_active = int(rows.query_count[active_rows].sum()) == total
    active = rows.take(active_rows)
    members = _group(active, hidden_dim)
    groups, start = [], 0
    for index in members:
        stop = start + int(active.query_count[index].sum())
        groups.append(_build_group(active.take(index), active_rows[index], slice(start, stop), device))
        start = stop

    kept = None if all_active else concatenated_ranges(active.query_start, active.query_count)
    order, restore = kept, None
    if len(members) > 1:
        moved = active.take(np.concatenate(members))
        order = concatenated_ranges(moved.query_start, moved.query_count)
        restore = np.argsort(order)
    return Layout(groups, _optional(order, device), _optional(restore, device), _optional(kept, device), total)


def concatenated_ranges(starts: Integers, counts: Integers) -> Integers:
    """Return ``starts[0], starts[0] + 1, …`` of ``counts[0]`` numbers, then those of the next start, as one array."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def _build_group(rows: Rows, row_ids: Integers, tokens: slice, device: torch.device) -> Group:
    side_width = _places(int(rows.side_count.max()), device)
    even_sides = bool((rows.side_count == side_width).all())
    side: slice | Tensor
    if even_sides and bool((np.diff(rows.side_start) == side_width).all()):
        first = int(rows.side_start[0])
        side = slice(first, first + side_width * len(row_ids))
    else:
        # A padded place repeats the last token of its own window, so that no other row's numbers can reach it.
        places = np.minimum(np.arange(side_width), rows.side_count[:, None] - 1)
        side = _tensor((rows.side_start[:, None] + places).ravel(), device)
    mask = None
    if not even_sides:
        mask = torch.from_numpy(np.arange(side_width) < rows.side_count[:, None])[:, None, None].to(device)

    query_width = int(rows.query_count.max())
    padding = kept = row_of_token = None
    if bool((rows.query_count != query_width).any()):
        before = np.cumsum(rows.query_count) - rows.query_count
        places = np.minimum(np.arange(query_width), rows.query_count[:, None] - 1)
        padding = _tensor((before[:, None] + places).ravel(), device)
        kept = _tensor(np.flatnonzero(np.arange(query_width) < rows.query_count[:, None]), device)
        row_of_token = _tensor(np.repeat(np.arange(len(row_ids)), rows.query_count), device)
    return Group(row_ids, tokens, side, side_width, mask, padding, kept, row_of_token)


def _places(longest: int, device: torch.device) -> int:
    """Return how many side tokens to make room for; over a quarter of a block, a whole one is quicker."""
    return CPU_BLOCK if device.type == "cpu" and CPU_BLOCK // 4 < longest < CPU_BLOCK else longest


@dataclass(frozen=True)
class _Shape:
    """A candidate group: its rectangle, and what it holds."""

    query_width: int
    side_width: int
    rows: int
    tokens: int
    kinds: tuple[int, ...]

    def cost(self, hidden_dim: int) -> float:
        """Return the work on the rectangle, in products of one query with one key."""
        if self.side_width == 1:
            return 0.0
        # Only a softmax over several keys needs the query projection: hidden² products against two of hidden each.
        return self.rows * self.query_width * self.side_width + self.tokens * hidden_dim / 2

    def merged(self, other: _Shape) -> _Shape:
        return _Shape(
            max(self.query_width, other.query_width),
            max(self.side_width, other.side_width),
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.kinds + other.kinds,
        )


def _group(rows: Rows, hidden_dim: int) -> list[Integers]:
    """Return the members of each group: rows of equal size together, and groups merged while padding is cheap."""
    if not len(rows.query_count):
        return []
    span = int(rows.query_count.max()) + 1
    kinds, kind_of_row, counts = np.unique(
        rows.side_count * span + rows.query_count, return_inverse=True, return_counts=True
    )
    if len(kinds) == 1:
        return [np.arange(len(rows.query_count))]
    shapes = [
        _Shape(int(kind % span), int(kind // span), int(count), int(count * (kind % span)), (number,))
        for number, (kind, count) in enumerate(zip(kinds, counts, strict=True))
    ]
    shapes = _merge(shapes, hidden_dim)
    if len(shapes) == 1:
        return [np.arange(len(rows.query_count))]
    return [np.flatnonzero(np.isin(kind_of_row, shape.kinds)) for shape in shapes]


def _merge(shapes: list[_Shape], hidden_dim: int) -> list[_Shape]:
    # A layer's linear work on one token, in the unit of _Shape.cost: query, up and down are 5 hidden² products.
    linear = 2.5 * hidden_dim
    while len(shapes) > 1:
        excess = []
        for left, right in zip(shapes, shapes[1:], strict=False):
            both = left.merged(right)
            added = both.cost(hidden_dim) - left.cost(hidden_dim) - right.cost(hidden_dim)
            excess.append(added - PADDING_SHARE * linear * both.tokens)
        best = int(np.argmin(excess))
        if excess[best] > 0 and len(shapes) <= MAX_GROUPS:
            break
        shapes[best : best + 2] = [shapes[best].merged(shapes[best + 1])]
    return shapes


def _tensor(index: Integers, device: torch.device) -> Tensor:
    return torch.from_numpy(index).to(device)


def _optional(index: Integers | None, device: torch.device) -> Tensor | None:
    return None if index is None else _tensor(index, device)
