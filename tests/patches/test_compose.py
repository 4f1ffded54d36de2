"""Residuals of several patches are summed, each made from the base's own tokens."""

from __future__ import annotations

import torch

from pave.config import PatchConfig
from pave.patches import build
from pave.patches.compose import apply_patches, run_idle
from pave.patches.patch import Patch
from pave.types import SideChannel, VideoTokens


def make_patch(channel: str, seed: int) -> Patch:
    config = PatchConfig(channel, 4, query_dim=6, token_dim=6, hidden_dim=8, heads=2, query="projected")
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
