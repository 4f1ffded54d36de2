"""Residuals of several patches are summed, each made from the base's own tokens."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pave.config import PatchConfig
from pave.errors import InputError
from pave.patches import build
from pave.patches.compose import apply_patches, balance, run_idle
from pave.patches.patch import Patch
from pave.types import SideChannel, VideoTokens


def make_patch(channel: str, seed: int, **changes: Any) -> Patch:
    config = PatchConfig(channel, 4, query_dim=6, token_dim=6, hidden_dim=8, heads=2, query="projected", **changes)
    patch = build(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in patch.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return patch


def make_video(row: int) -> VideoTokens:
    tokens = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(row))
    return VideoTokens(tokens, None, tokens[0, :0], torch.arange(3, dtype=torch.float64), (2, 2), row)


def make_side(seed: int) -> SideChannel:
    return SideChannel(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)), torch.arange(5) * 0.5)


PATCHES = {"audio": make_patch("audio", 1), "depth": make_patch("depth", 2)}
SIDE = {"audio": [make_side(1), None, make_side(2)], "depth": [make_side(3), make_side(4), make_side(5)]}


def added(weights: list[dict[str, float]]) -> list[torch.Tensor]:
    videos = [make_video(row) for row in range(3)]
    composed = apply_patches(PATCHES, SIDE, weights, videos)
    return [after.tokens - before.tokens for after, before in zip(composed.videos, videos, strict=True)]


def test_a_patch_does_not_see_what_another_added() -> None:
    both = added([{"audio": 1.0, "depth": 1.0}] * 3)
    audio, depth = added([{"audio": 1.0}] * 3), added([{"depth": 1.0}] * 3)
    assert audio[0].abs().max() > 0.1 and not audio[1].any()
    for total, one, other in zip(both, audio, depth, strict=True):
        torch.testing.assert_close(total, one + other, atol=1e-5, rtol=1e-5)


def test_weights_scale_each_videos_residual() -> None:
    whole, scaled = added([{"depth": 1.0}] * 3), added([{"depth": 0.5}, {"depth": -1.0}, {}])
    for found, full, weight in zip(scaled, whole, (0.5, -1.0, 0.0), strict=True):
        torch.testing.assert_close(found, full * weight, atol=1e-5, rtol=1e-5)


def test_says_which_channels_there_are() -> None:
    composed = apply_patches(PATCHES, SIDE, [{}, {"audio": 1.0}, {}], [make_video(row) for row in range(3)])
    assert composed.present == [set(), set(), set()] and composed.idle == []
    composed = apply_patches(PATCHES, SIDE, [{"depth": 1.0}] * 3, [make_video(row) for row in range(3)])
    assert composed.present == [{"depth"}] * 3 and composed.idle == []


def test_runs_what_other_processes_run() -> None:
    weights, always = [{"depth": 1.0}] * 3, {"audio", "depth"}
    videos = [make_video(row) for row in range(3)]
    plain, composed = (
        apply_patches(PATCHES, SIDE, weights, videos),
        apply_patches(PATCHES, SIDE, weights, videos, always),
    )
    assert composed.idle == []
    for one, other in zip(plain.videos, composed.videos, strict=True):
        assert torch.equal(one.tokens, other.tokens)
    gradients = torch.autograd.grad(composed.videos[0].tokens.sum(), list(PATCHES["audio"].parameters()))
    assert not any(gradient.any() for gradient in gradients)
    alone = apply_patches(PATCHES, {}, weights, [], always)
    assert [zero.item() for zero in alone.idle] == [0.0, 0.0]


def test_an_idle_patch_gives_each_weight_a_gradient_of_zero() -> None:
    patch = make_patch("audio", 1)
    zero = run_idle(patch)
    assert zero.item() == 0
    zero.backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in patch.parameters())


def sized(gains: list[float]) -> dict[str, Patch]:
    """Patches whose residuals have these sizes in every token."""
    patches = {f"channel_{place}": make_patch(f"channel_{place}", place) for place in range(len(gains))}
    for patch, gain in zip(patches.values(), gains, strict=True):
        torch.nn.init.constant_(patch.get_parameter("norm.weight"), gain)
        torch.nn.init.zeros_(patch.get_parameter("norm.bias"))
    return patches


@given(gains=st.lists(st.floats(0.05, 20), min_size=2, max_size=4))
def test_balanced_residuals_are_of_one_size(gains: list[float]) -> None:
    patches = sized(gains)
    factors = balance(patches)
    assert math.prod(factors.values()) == pytest.approx(math.sqrt(len(gains)) ** len(gains), rel=1e-5)
    video = make_video(0)
    sizes = []
    for name in patches:
        alone = apply_patches(patches, {name: [make_side(1)]}, [{name: factors[name]}], [video]).videos[0]
        sizes.append((alone.tokens - video.tokens).square().mean().sqrt().item())
    assert sizes == pytest.approx([sizes[0]] * len(sizes), rel=1e-3)


def test_only_residuals_that_are_added_together_are_balanced() -> None:
    patches = {
        **sized([0.5, 2.0, 0.0]),
        "text": build(PatchConfig("text", 4, token_dim=6, query_dim=6, hidden_dim=8, type="append")),
    }
    alone = {name: patches[name] for name in ("channel_1", "channel_2", "text")}
    assert balance(alone) == balance({}) == {}
    root = math.sqrt(2)
    assert balance(patches) == pytest.approx({"channel_0": 2 * root, "channel_1": 0.5 * root})


def test_each_video_is_balanced_by_what_acts_on_it() -> None:
    patches = sized([0.5, 2.0])
    videos = [make_video(row) for row in range(4)]
    side = {name: [make_side(row) for row in range(4)] for name in patches}
    side["channel_1"][1] = None
    chosen = [{"channel_0": 1.0, "channel_1": 1.0}] * 2 + [{"channel_1": 1.0}, {"channel_0": 0.5, "channel_1": 1.0}]
    balanced = apply_patches(patches, side, chosen, videos, balanced=True)
    factors = balance(patches)
    by_hand = [factors, {"channel_0": 1.0}, {"channel_1": 1.0}, {**factors, "channel_0": 0.5 * factors["channel_0"]}]
    weighed = apply_patches(patches, side, by_hand, videos)
    for one, other in zip(balanced.videos, weighed.videos, strict=True):
        assert torch.equal(one.tokens, other.tokens)


def test_a_size_that_weights_do_not_tell_is_not_guessed() -> None:
    patches = {**sized([1.0]), "depth": make_patch("depth", 2, gate="tanh")}
    with pytest.raises(InputError, match="patch 'depth': its weights do not tell"):
        balance(patches)
