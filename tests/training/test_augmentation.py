"""Hidden video tokens: what the language model sees, and what patches ask with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pave import InputError
from pave.training.augmentation import hidden, hide_video
from pave.training.config import Augmentation
from pave.types import VideoTokens
from tests.batches import logits, make_batch, patched
from tests.tiny import make_model


def video(steps: int = 50) -> VideoTokens:
    tokens = torch.randn(steps, 4, 6, generator=torch.Generator().manual_seed(0))
    return VideoTokens(tokens, None, tokens[0, :0], torch.arange(steps, dtype=torch.float64), (2, 2), 0)


def test_a_share_of_the_tokens_becomes_their_mean() -> None:
    plain = video()
    found = hidden(plain, 0.3, np.random.default_rng(0))
    gone = (found.tokens != plain.tokens).any(dim=-1)
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.07)
    torch.testing.assert_close(found.tokens[gone], plain.tokens.mean(dim=(0, 1)).expand(int(gone.sum()), -1))
    assert torch.equal(found.queries("projected"), plain.tokens)
    assert torch.equal(hidden(found, 0.3, np.random.default_rng(1)).queries("projected"), plain.tokens)


def test_patches_ask_with_what_was_there() -> None:
    model, batch = patched(make_model("llava_onevision"), query="projected"), make_batch("llava_onevision")
    rng = np.random.default_rng(0)
    call = hide_video(model, {**batch.inputs, **batch.extras}, 0.5, rng)
    assert model.family.pixels not in call and len(call["videos"]) == 2
    with torch.no_grad():
        seen = [patch_queries for patch_queries in _queries(model, call)]
        wanted = [patch_queries for patch_queries in _queries(model, {**batch.inputs, **batch.extras})]
    for one, other in zip(seen, wanted, strict=True):
        assert torch.equal(one, other)
    tokens = {"input_ids": call.pop("input_ids"), "attention_mask": call.pop("attention_mask")}
    plain = logits(model, batch.inputs, **batch.extras)
    assert not torch.allclose(logits(model, tokens, **call), plain, atol=1e-2)


def test_text_alone_stays_as_it_is() -> None:
    model = patched(make_model("llava_onevision"))
    call = {"input_ids": torch.tensor([[20, 21]])}
    assert hide_video(model, call, 0.5, np.random.default_rng(0)) == call


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="augmentation: hidden_video is .*; it must be from 0 up to"):
        Augmentation(hidden_video=share)


def _queries(model: torch.nn.Module, call: dict) -> list[torch.Tensor]:
    """What a patch asks with in a call."""
    asked: list[torch.Tensor] = []
    handle = model.patches["audio"].register_forward_pre_hook(lambda _, given: asked.extend(given[0]))
    try:
        model(**call)
    finally:
        handle.remove()
    return asked
