"""Groups of rows: everything that must be seen is seen, nothing else is, and padding stays cheap."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.patches.ragged import MAX_GROUPS, Layout, Rows, concatenated_ranges, lay_out

CPU = torch.device("cpu")

row_sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=40)


def make_rows(sizes: list[tuple[int, int]]) -> Rows:
    """Return rows of (query tokens, side tokens) whose windows tile the side tokens."""
    queries, sides = (np.array(column) for column in zip(*sizes, strict=True))
    return Rows(np.cumsum(queries) - queries, queries, np.cumsum(sides) - sides, sides)


def seen_tokens(layout: Layout, side_total: int) -> dict[int, list[int]]:
    """Return the side tokens that each query token of the batch may attend to."""
    order = torch.arange(layout.tokens) if layout.order is None else layout.order
    seen = {}
    for group in layout.groups:
        sides = group.gather(torch.arange(side_total))
        mask = torch.ones_like(sides, dtype=torch.bool) if group.mask is None else group.mask[:, 0, 0]
        tokens = order[group.tokens]
        rows = group.row_of_token
        if rows is None:
            rows = torch.arange(len(group.rows)).repeat_interleave(len(tokens) // len(group.rows))
        for token, row in zip(tokens.tolist(), rows.tolist(), strict=True):
            seen[token] = sides[row][mask[row]].tolist()
    return seen


def expected_tokens(rows: Rows) -> dict[int, list[int]]:
    return {
        token: list(range(start, start + count))
        for first, queries, start, count in zip(
            rows.query_start, rows.query_count, rows.side_start, rows.side_count, strict=True
        )
        for token in range(first, first + queries)
        if count
    }


@given(row_sizes, st.sampled_from([1, 16, 512]))
def test_every_query_token_sees_its_own_window(sizes: list[tuple[int, int]], hidden_dim: int) -> None:
    rows = make_rows(sizes)
    layout = lay_out(rows, hidden_dim, CPU)
    assert seen_tokens(layout, int(rows.side_count.sum())) == expected_tokens(rows)


@given(row_sizes, st.sampled_from([1, 16, 512]))
def test_there_are_few_groups(sizes: list[tuple[int, int]], hidden_dim: int) -> None:
    assert len(lay_out(make_rows(sizes), hidden_dim, CPU).groups) <= MAX_GROUPS


@given(row_sizes, st.sampled_from([1, 512]))
def test_what_was_moved_comes_back(sizes: list[tuple[int, int]], hidden_dim: int) -> None:
    rows = make_rows(sizes)
    layout = lay_out(rows, hidden_dim, CPU)
    tokens = torch.arange(layout.tokens)
    moved = tokens if layout.order is None else tokens[layout.order]
    restored = moved if layout.restore is None else moved[layout.restore]
    assert restored.tolist() == (tokens if layout.active is None else layout.active).tolist()
    assert restored.tolist() == sorted(expected_tokens(rows))


@given(row_sizes, st.sampled_from([1, 512]))
def test_padded_queries_belong_to_their_own_row(sizes: list[tuple[int, int]], hidden_dim: int) -> None:
    for group in lay_out(make_rows(sizes), hidden_dim, CPU).groups:
        if group.padding is None:
            continue
        places = torch.arange(len(group.padding))
        assert group.kept is not None and group.row_of_token is not None
        assert (group.padding[group.kept] == torch.arange(len(group.kept))).all()
        width = len(group.padding) // len(group.rows)
        assert (group.row_of_token[group.padding] == places // width).all()


def test_even_windows_are_neither_copied_nor_masked_nor_moved() -> None:
    layout = lay_out(make_rows([(4, 32)] * 6), 16, CPU)
    assert layout.order is layout.restore is layout.active is None
    (group,) = layout.groups
    assert group.mask is None and group.padding is None
    assert group.side == slice(0, 192)


def test_very_different_windows_are_not_padded_to_the_longest() -> None:
    sizes = [(4, 1)] * 50 + [(4, 900)]
    layout = lay_out(make_rows(sizes), 16, CPU)
    places = sum(len(group.rows) * group.side_width for group in layout.groups)
    assert places == sum(side for _, side in sizes)


def test_slightly_different_windows_share_one_group() -> None:
    layout = lay_out(make_rows([(196, 2)] * 27 + [(196, 1)] * 5), 512, CPU)
    assert len(layout.groups) == 1


def test_rows_with_one_side_token_keep_to_themselves_where_that_saves_work() -> None:
    layout = lay_out(make_rows([(196, 1)] * 32 + [(196, 2)] * 32), 512, CPU)
    assert [group.single for group in layout.groups] == [True, False]


def test_a_batch_without_side_tokens_has_no_groups() -> None:
    layout = lay_out(make_rows([(4, 0), (2, 0)]), 16, CPU)
    assert layout.groups == []
    assert layout.tokens == 6


def test_concatenated_ranges() -> None:
    assert concatenated_ranges(np.array([5, 0, 7]), np.array([2, 0, 3])).tolist() == [5, 6, 7, 8, 9]
