"""The patch as a whole: ragged batches, exact zeros, dtypes, gradients, attention maps and cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_patch import plain_residual
from ragged_videos import (
    QUERY_DIM,
    SIDE_DIM,
    TOKEN_DIM,
    Batch,
    batches,
    configs,
    make_batch,
    tiny_config,
    trained_patch,
)
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches import build, cross_attention, registry
from pave.patches.align import Seconds
from pave.patches.patch import Patch
from pave.types import SideChannel

MIXED = [(3, 4, 9, 4), (2, 9, None, 1), (5, 1, 2, 1), (4, 4, 0, 2), (1, 9, 7, 1)]
"""Sizes (T, S, K, N) of a batch with every kind of video in it."""


def gradients(patch: torch.nn.Module, residuals: list[Tensor]) -> dict[str, Tensor | None]:
    """Return the gradients of one random projection of the residuals."""
    generator = torch.Generator().manual_seed(1)
    patch.zero_grad()
    weights = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r) for r in residuals]
    torch.stack([(r * w).sum() for r, w in zip(residuals, weights, strict=True)]).sum().backward()
    return {name: parameter.grad for name, parameter in patch.named_parameters()}


@given(batches, configs)
@settings(deadline=None, max_examples=60)
def test_it_is_the_plain_formula(batch: Batch, config: dict[str, Any]) -> None:
    patch = trained_patch(**config)
    residuals, maps = patch(*batch.arguments()), patch.attention_maps(*batch.arguments())
    for index, (residual, attention_map) in enumerate(zip(residuals, maps, strict=True)):
        expected, expected_map = plain_residual(
            patch, batch.queries[index], batch.sides[index], batch.times_sec[index]
        )
        torch.testing.assert_close(residual, expected, atol=1e-9, rtol=1e-9)
        if expected_map is None or expected_map.shape[1] == 0:
            assert attention_map is None
        else:
            assert attention_map is not None
            torch.testing.assert_close(attention_map.double(), expected_map, atol=1e-6, rtol=0)


@given(batches, configs)
@settings(deadline=None, max_examples=40)
def test_a_batch_is_its_videos_one_by_one(batch: Batch, config: dict[str, Any]) -> None:
    patch = trained_patch(**config)
    together = patch(*batch.arguments())
    for index, residual in enumerate(together):
        (alone,) = patch(*batch.single(index).arguments())
        torch.testing.assert_close(residual, alone, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("positions", ["none", "rotary_3d", "rotary_time"])
@pytest.mark.parametrize("alignment", ["time", "index", "none"])
def test_a_batch_is_its_videos_one_by_one_in_float32(alignment: str, positions: str) -> None:
    torch.manual_seed(0)
    patch = build(tiny_config(alignment=alignment, positions=positions, token_dim=64, hidden_dim=64))
    torch.nn.init.ones_(patch.norm.weight)
    batch = make_batch([(8, 9, 60, 1), (4, 16, 13, 4), (6, 9, 3, 9), (8, 4, None, 1), (5, 9, 5, 1)])
    batch.queries = [queries.float() for queries in batch.queries]
    for index, residual in enumerate(patch(*batch.arguments())):
        (alone,) = patch(*batch.single(index).arguments())
        torch.testing.assert_close(residual, alone, atol=5e-6, rtol=5e-6)


@given(batches, configs, st.data())
@settings(deadline=None, max_examples=30)
def test_other_videos_do_not_matter(batch: Batch, config: dict[str, Any], data: st.DataObject) -> None:
    """Whatever pads a video's rectangle can only come from its neighbours: fill those with huge numbers."""
    patch = trained_patch(**config)
    index = data.draw(st.integers(0, len(batch.queries) - 1))
    before = patch(*batch.arguments())[index]
    for other, side in enumerate(batch.sides):
        if other != index:
            batch.queries[other] = torch.full_like(batch.queries[other], 1e200)
            if side is not None:
                batch.sides[other] = SideChannel(torch.full_like(side.values, -1e200), side.times_sec)
    after = patch(*batch.arguments())[index]
    torch.testing.assert_close(after, before, atol=1e-12, rtol=1e-12)


@given(batches, configs)
@settings(deadline=None, max_examples=20)
def test_an_untrained_patch_adds_exactly_nothing(batch: Batch, config: dict[str, Any]) -> None:
    patch = build(tiny_config(**config)).double()
    for residual, queries in zip(patch(*batch.arguments()), batch.queries, strict=True):
        assert torch.equal(residual, queries.new_zeros(*queries.shape[:2], TOKEN_DIM))


def test_a_fresh_patch_learns_from_its_first_step() -> None:
    patch = build(tiny_config()).double()
    found = gradients(patch, patch(*make_batch(MIXED).arguments()))
    assert found["norm.weight"] is not None and found["norm.weight"].abs().max() > 0
    assert all(
        not parameter.any()
        for name, parameter in patch.named_parameters()
        if name.endswith("bias") and "feed" not in name
    )


@pytest.mark.parametrize("alignment", ["time", "index", "none"])
def test_absent_and_empty_channels_give_exact_zeros(alignment: str) -> None:
    patch = trained_patch(alignment=alignment)
    residuals = patch(*make_batch(MIXED).arguments())
    assert residuals[0].any()
    for index in (1, 3):
        assert not residuals[index].any()


def test_a_step_with_an_empty_window_gets_exactly_zero_though_the_trained_bias_is_not() -> None:
    patch = trained_patch()
    assert patch.norm.bias.all()
    side = SideChannel(torch.ones(2, SIDE_DIM, dtype=torch.float64), torch.tensor([0.0, 9.0]))
    (residual,) = patch([torch.ones(3, 4, QUERY_DIM, dtype=torch.float64)], [side], [[0.0, 5.0, 9.0]])
    assert residual[0].any() and residual[2].any()
    assert not residual[1].any()


@pytest.mark.parametrize("sizes", [[(2, 4, None, 1), (3, 1, 0, 2)], [(4, 4, 4, 1)], [(3, 1, 6, 2)], MIXED])
@pytest.mark.parametrize("value_projection", ["tied", "separate"])
def test_every_parameter_gets_a_gradient(sizes: list[Any], value_projection: str) -> None:
    patch = trained_patch(value_projection=value_projection, alignment="index")
    for name, gradient in gradients(patch, patch(*make_batch(sizes).arguments())).items():
        assert gradient is not None, name
        assert torch.isfinite(gradient).all(), name


def test_gradients_of_a_batch_are_the_sums_of_its_videos() -> None:
    patch, batch = trained_patch(positions="rotary_time"), make_batch(MIXED)
    together = gradients(patch, patch(*batch.arguments()))
    alone = gradients(patch, [patch(*batch.single(index).arguments())[0] for index in range(len(MIXED))])
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, alone[name], atol=1e-8, rtol=1e-8)


def test_long_batches_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    patch, batch = trained_patch(), make_batch(MIXED)
    whole = patch(*batch.arguments())
    wanted = gradients(patch, whole)
    for name in ("TOKENS_AT_ONCE", "TOKENS_WITH_GRADIENTS"):
        monkeypatch.setattr(cross_attention, name, 20)
    parts = patch(*batch.arguments())
    torch.testing.assert_close(parts, whole)
    with torch.no_grad():
        torch.testing.assert_close(patch(*batch.arguments()), [residual.detach() for residual in whole])
    found = gradients(patch, parts)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name])


def test_an_empty_batch() -> None:
    assert trained_patch()([], [], []) == []


@given(st.integers(0, 1000), st.sampled_from(["none", "rotary_time"]))
@settings(deadline=None, max_examples=20)
def test_shifting_all_times_changes_nothing(shift: int, positions: str) -> None:
    patch, batch = trained_patch(positions=positions), make_batch([(4, 4, 9, 4), (3, 1, 5, 1)])
    expected = patch(*batch.arguments())
    sides = [SideChannel(side.values, side.times_sec + shift) for side in batch.sides if side is not None]
    shifted = patch(batch.queries, sides, [times + shift for times in batch.times_sec])
    for residual, before in zip(shifted, expected, strict=True):
        torch.testing.assert_close(residual, before, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("positions", ["rotary_3d", "rotary_time"])
def test_positions_matter(positions: str) -> None:
    batch = make_batch([(2, 4, 8, 4)])
    plain, turned = trained_patch(), trained_patch(positions=positions)
    assert (plain(*batch.arguments())[0] - turned(*batch.arguments())[0]).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("positions", ["none", "rotary_3d", "rotary_time"])
def test_half_precision(dtype: torch.dtype, positions: str) -> None:
    patch, batch = trained_patch(positions=positions), make_batch(MIXED)
    expected = patch(*batch.arguments())
    patch.to(dtype)
    batch.queries = [queries.to(dtype) for queries in batch.queries]
    residuals = patch(*batch.arguments())
    tolerance = 1e-4 if dtype is torch.float32 else 0.25
    for residual, exact in zip(residuals, expected, strict=True):
        assert residual.dtype is dtype
        torch.testing.assert_close(residual.double(), exact, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_it_computes_in_its_own_dtype_and_answers_in_that_of_the_queries(dtype: torch.dtype) -> None:
    patch, batch = trained_patch().float(), make_batch(MIXED)
    batch.queries = [queries.to(dtype) for queries in batch.queries]
    residuals = patch(*batch.arguments())
    batch.queries = [queries.float() for queries in batch.queries]
    for residual, own in zip(residuals, patch(*batch.arguments()), strict=True):
        assert residual.dtype is dtype
        assert torch.equal(residual, own.to(dtype))


@pytest.mark.parametrize("positions", ["none", "rotary_time"])
def test_autocast(positions: str) -> None:
    patch, batch = trained_patch(positions=positions).float(), make_batch(MIXED)
    batch.queries = [queries.float() for queries in batch.queries]
    expected = patch(*batch.arguments())
    with torch.autocast("cpu", torch.bfloat16):
        residuals = patch(*batch.arguments())
    for residual, exact in zip(residuals, expected, strict=True):
        assert residual.dtype is torch.float32
        torch.testing.assert_close(residual, exact, atol=0.25, rtol=0.25)
    assert all(gradient is not None for gradient in gradients(patch, residuals).values())


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing(reentrant: bool) -> None:
    patch, batch = trained_patch(), make_batch(MIXED)
    expected = gradients(patch, patch(*batch.arguments()))
    # The reentrant kind only takes part in a graph through tensor arguments that require gradients.
    anchor = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def run(anchor: Tensor) -> tuple[Tensor, ...]:
        return tuple(patch([queries + anchor for queries in batch.queries], batch.sides, batch.times_sec))

    found = gradients(patch, list(checkpoint(run, anchor, use_reentrant=reentrant)))
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-9, rtol=1e-9)


def test_torch_compile() -> None:
    torch._dynamo.reset()
    patch = trained_patch(positions="rotary_time")
    backend = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(patch, backend=backend)
    for seed in range(6):
        batch = make_batch(MIXED[seed % 3 :] + MIXED[: seed % 2], seed)
        expected, residuals = patch(*batch.arguments()), compiled(*batch.arguments())
        for residual, exact in zip(residuals, expected, strict=True):
            torch.testing.assert_close(residual, exact, atol=1e-9, rtol=1e-9)
        wanted, found = gradients(patch, expected), gradients(patch, compiled(*batch.arguments()))
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, wanted[name], atol=1e-8, rtol=1e-8)
    assert 0 < backend.frame_count < 10


@pytest.mark.parametrize("alignment", ["time", "index", "none"])
def test_attention_maps_sum_to_one_or_zero(alignment: str) -> None:
    batch = make_batch(MIXED)
    maps = trained_patch(alignment=alignment).attention_maps(*batch.arguments())
    assert maps[1] is None
    for attention_map, side, queries in zip(maps, batch.sides, batch.queries, strict=True):
        if side is None or attention_map is None:
            continue
        assert attention_map.shape == (len(queries), side.steps)
        sums = attention_map.sum(dim=1)
        assert ((sums - 1).abs().lt(1e-5) | sums.eq(0)).all()
        if alignment != "time" and side.steps:
            assert sums.gt(0).all()


def test_attention_maps_of_a_short_channel_point_to_its_own_steps() -> None:
    side = SideChannel(torch.ones(2, SIDE_DIM, dtype=torch.float64), torch.tensor([0.0, 4.0]))
    queries = torch.ones(5, 1, QUERY_DIM, dtype=torch.float64)
    (found,) = trained_patch(alignment="index").attention_maps([queries], [side], [torch.arange(5.0)])
    expected = torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("value_projection", ["tied", "separate"])
@pytest.mark.parametrize("alignment", ["time", "index", "none"])
@pytest.mark.parametrize(
    "sizes", [(8, 9, 16, 8), (8, 16, 24, 1), (4, 9, 4, 1), (8, 9, 4, 4), (8, 9, 5, 1), (8, 4, 63, 2)]
)
def test_flops_are_those_that_torch_counts(
    sizes: tuple[int, int, int, int], alignment: str, value_projection: str
) -> None:
    steps, tokens, side_steps, side_tokens = sizes
    if alignment == "none" and sizes == (8, 9, 5, 1):
        sizes = (8, 9, 16, 1)  # Windows of 5 to 15 tokens are padded to 16 on a CPU, which is not counted.
        side_steps = 16
    patch = trained_patch(alignment=alignment, value_projection=value_projection)
    query_times_sec = np.arange(steps) + 0.5
    side_times_sec = (np.arange(side_steps) + 0.5) * steps / side_steps
    counted = count_flops(patch, query_times_sec, tokens, side_times_sec, side_tokens)
    assert patch.flops(query_times_sec, tokens, side_times_sec, side_tokens) == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize("overlap_sec", [0.0, 1.0, 2.5])
def test_flops_are_those_of_the_windows_as_they_are(overlap_sec: float) -> None:
    patch = trained_patch(overlap_sec=overlap_sec)
    # Windows are read in blocks of 16 tokens on a CPU; padding is not counted.
    sizes = np.array([0.0, 1.0, 2.0, 6.0]), 9, np.array([0.1, 0.2, 0.9, 5.5]), 16
    assert patch.flops(*sizes) == pytest.approx(count_flops(patch, *sizes), rel=0.03)


def count_flops(
    patch: Patch, query_times_sec: Seconds, query_tokens: int, side_times_sec: Seconds, side_tokens: int
) -> int:
    """Return the operations that torch counts in a forward pass over one video."""
    queries = torch.ones(len(query_times_sec), query_tokens, QUERY_DIM)
    side = SideChannel(torch.ones(len(side_times_sec), side_tokens, SIDE_DIM), torch.from_numpy(side_times_sec))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        patch([queries], [side], [torch.from_numpy(query_times_sec)])
    return int(counter.get_total_flops())


@pytest.mark.parametrize(("value_projection", "count"), [("tied", 8_471_040), ("separate", 8_996_352)])
def test_the_default_patch_has_the_papers_size(value_projection: Any, count: int) -> None:
    config = PatchConfig(
        channel="audio", side_dim=1024, query_dim=1152, token_dim=3584, value_projection=value_projection
    )
    with torch.device("meta"):
        patch = build(config)
    assert sum(parameter.numel() for parameter in patch.parameters()) == count


def test_tied_values_cost_one_projection() -> None:
    assert all("value" not in name for name in trained_patch(value_projection="tied").state_dict())
    sizes = np.arange(4.0), 9, np.arange(8.0) / 2, 4
    separate, tied = (trained_patch(value_projection=each, side_dim=64).flops(*sizes) for each in ("separate", "tied"))
    assert separate - tied == 2 * 2 * 8 * 4 * 16 * 16


def test_build_finds_the_type_and_names_the_nearest() -> None:
    assert "cross_attention" in registry.names()
    with pytest.raises(InputError, match="did you mean 'cross_attention'"):
        build(tiny_config(type="cros_attention"))


@pytest.mark.parametrize("width", ["query_dim", "token_dim"])
def test_build_needs_every_width(width: str) -> None:
    with pytest.raises(InputError, match=f"{width} is 0"):
        build(tiny_config(**{width: 0}))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_videos_without_tokens(shape: tuple[int, int]) -> None:
    batch = make_batch([(2, 4, 3, 1)])
    queries = torch.zeros(*shape, QUERY_DIM, dtype=torch.float64)
    residuals = trained_patch()([queries, *batch.queries], batch.sides * 2, [torch.arange(shape[0]), *batch.times_sec])
    assert residuals[0].shape == (*shape, TOKEN_DIM)
    assert residuals[1].any()


@pytest.mark.parametrize("gate", ["norm", "tanh"])
def test_every_gate_starts_at_zero_and_opens_with_the_first_step(gate: str) -> None:
    batch = make_batch(MIXED)
    patch = build(tiny_config(gate=gate)).double()
    assert not any(residual.any() for residual in patch(*batch.arguments()))
    gradients(patch, patch(*batch.arguments()))
    torch.optim.SGD(patch.parameters(), lr=0.1).step()
    assert any(residual.any() for residual in patch(*batch.arguments()))


def test_an_unaligned_patch_does_not_go_by_times() -> None:
    batch, patch = make_batch(MIXED), trained_patch(alignment="none")
    moved = [times + 1.5 * torch.arange(len(times)) for times in batch.times_sec]
    for found, wanted in zip(patch(batch.queries, batch.sides, moved), patch(*batch.arguments()), strict=True):
        assert torch.equal(found, wanted)
    assert not patch.config.reads_times and tiny_config(alignment="none", positions="rotary_time").reads_times
