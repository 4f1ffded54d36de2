"""Maps after a projection: the same numbers composed or in turn, composed where that is less work."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ragged_videos import SIDE_DIM, make_batch, tiny_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pave.patches import build
from pave.patches import memory as module
from pave.patches.memory import ComposedMemory, ProjectedMemory, SideMaps, compose, composing_pays

sizes = st.integers(1, 2000)


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    torch.manual_seed(inputs * 100 + outputs)
    return nn.Linear(inputs, outputs, bias=bias, dtype=torch.float64)


@pytest.mark.parametrize("first_bias", [True, False])
@pytest.mark.parametrize("second_bias", [True, False])
def test_composed_maps_are_both_in_turn(first_bias: bool, second_bias: bool) -> None:
    first, second = linear(6, 16, first_bias), linear(16, 5, second_bias)
    tokens = torch.randn(7, 6, dtype=torch.float64)
    weight, bias = compose(first, second)
    torch.testing.assert_close(nn.functional.linear(tokens, weight, bias), second(first(tokens)))
    assert (bias is None) == (not first_bias and not second_bias)


def test_weights_are_multiplied_in_float64_and_come_in_their_own_type() -> None:
    first, second = linear(6, 16).bfloat16(), linear(16, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weight, bias = compose(first, second)
    assert bias is not None and weight.dtype == bias.dtype == torch.bfloat16
    torch.testing.assert_close(weight, (second.weight.double() @ first.weight.double()).bfloat16(), atol=0, rtol=0)


def test_both_memories_read_and_learn_alike() -> None:
    readers = [linear(16, 8), linear(16, 4)]
    maps = SideMaps(linear(6, 16), readers)
    features = [torch.randn(steps, 3, 6, dtype=torch.float64) for steps in (2, 500, 1)]
    found: list[list[Tensor]] = []
    for memory in (ComposedMemory(maps, features), ProjectedMemory(maps, features, None)):
        read = [memory.through(reader) for reader in readers]
        maps.projection.zero_grad()
        torch.cat(read, dim=1).square().sum().backward()
        assert maps.projection.weight.grad is not None
        found.append([*read, maps.projection.weight.grad.clone()])
    for composed, in_turn in zip(*found, strict=True):
        torch.testing.assert_close(composed, in_turn)


@given(sizes, sizes, sizes, sizes, st.booleans())
def test_composing_pays_where_it_multiplies_less(
    tokens: int, side_dim: int, memory_dim: int, outputs: int, gradients: bool
) -> None:
    def counted(composed: bool) -> int:
        counter = FlopCounterMode(display=False)
        with torch.device("meta"), counter:
            features = torch.ones(tokens, side_dim)
            first, second = nn.Linear(side_dim, memory_dim), nn.Linear(memory_dim, outputs)
            if composed:
                made = nn.functional.linear(features, second.weight @ first.weight)
            else:
                made = second(first(features))
            if gradients:
                made.backward(torch.ones_like(made))
        return counter.get_total_flops()

    pays = composing_pays(tokens, side_dim, memory_dim, outputs, gradients=gradients)
    assert pays == (counted(True) < counted(False))


def test_adapted_weights_are_never_composed() -> None:
    class Adapted(nn.Linear):
        pass

    assert SideMaps(linear(6, 16), [linear(16, 8)]).composing_pays(10_000)
    assert not SideMaps(linear(6, 16), [Adapted(16, 8)]).composing_pays(10_000)


def test_weights_are_composed_once_a_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(module, "compose", lambda *maps: calls.append(maps) or compose(*maps))
    patch = build(tiny_config(value_projection="tied", layers=3)).double()
    batch = make_batch([(2, 4, 800, 9)] * 4)
    assert batch.sides[0] is not None and batch.sides[0].width == SIDE_DIM
    patch(*batch.arguments())
    assert len(calls) == 3
