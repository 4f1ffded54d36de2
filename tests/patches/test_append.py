"""Appended tokens: what the module makes, and what a model with such a patch hands in and gives back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pave import InputError, LoraSpec, PatchConfig, PaveModel
from pave.patches import build
from pave.patches.append import AppendPatch
from pave.patches.compose import run_idle
from tests.batches import GREEDY, SIDE_DIM, Batch, logits, make_batch, patch_config, randomize, side_channel, take_row
from tests.tiny import make_model

CONFIG = PatchConfig("audio", SIDE_DIM, "append", query_dim=4, token_dim=12, hidden_dim=10)


def append_model(**changes: Any) -> PaveModel:
    model = PaveModel.from_base(make_model("llava_onevision"))
    settings = {"type": "append", "heads": 4, "query": "projected", **changes}
    model.add_patch("audio", patch_config(**settings), LoraSpec(r=4))
    randomize(model, "audio")
    return model


def test_all_side_tokens_become_tokens_of_the_language_model() -> None:
    patch = build(CONFIG)
    assert isinstance(patch, AppendPatch)
    sides = [side_channel(1, steps=5, tokens=3), None, side_channel(2, steps=2)]
    found = patch(sides)
    assert [tuple(tokens.shape) for tokens in found] == [(15, 12), (0, 12), (2, 12)]
    torch.testing.assert_close(found[2], patch([sides[2]])[0])
    assert found[0].square().mean().sqrt().item() == pytest.approx(1.0, abs=0.05)


def test_side_scale_multiplies_first() -> None:
    plain = build(CONFIG)
    scaled = build(PatchConfig(**{**vars(CONFIG), "side_scale": 4.0}))
    scaled.load_state_dict(plain.state_dict())
    side = side_channel(1)
    louder = type(side)(side.values * 4, side.times_sec)
    torch.testing.assert_close(scaled([side])[0], plain([louder])[0])
    assert not torch.allclose(scaled([side])[0], plain([side])[0])


def test_another_width_is_refused() -> None:
    with pytest.raises(InputError, match=f"video 0: the side channel has width {SIDE_DIM}, .* side_dim 5"):
        build(PatchConfig(**{**vars(CONFIG), "side_dim": 5}))([side_channel(1)])


@pytest.mark.parametrize(
    "field", [{"layers": 1}, {"alignment": "index"}, {"overlap_sec": 0.5}, {"positions": "rotary_time"}, {"heads": 2}]
)
def test_fields_without_an_effect_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(field))} has no effect with type 'append'"):
        PatchConfig(**{**vars(CONFIG), **field})


def test_flops_are_those_of_a_forward_pass() -> None:
    patch = build(CONFIG)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        patch([side_channel(1, steps=5, tokens=3)])
    assert patch.flops(np.arange(4.0), 4, np.arange(5.0), 3) == counter.get_total_flops()
    assert patch.added_tokens(5, 3) == 15


def test_an_idle_patch_gives_each_weight_a_gradient_of_zero() -> None:
    patch = build(CONFIG)
    zero = run_idle(patch)
    assert zero.item() == 0
    zero.backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in patch.parameters())


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_sample_without_the_channel_is_told_what_the_base_says(side: str) -> None:
    model, batch = append_model(), make_batch("llava_onevision", rows=3, side=side)
    batch.side["audio"][1] = None
    found = logits(model, batch.inputs, **batch.extras).split(batch.inputs["attention_mask"].sum(dim=1).tolist())
    for row in (0, 1, 2):
        alone = take_row("llava_onevision", batch, row)
        own = logits(model, alone.inputs, **alone.extras)
        torch.testing.assert_close(found[row], own, atol=1e-4, rtol=1e-4)
        plain = logits(model, alone.inputs, patches=[])
        assert torch.equal(own, plain) if row == 1 else not torch.allclose(own, plain, atol=1e-2)


def test_generation_returns_the_prompt_as_it_was_given() -> None:
    model, batch = append_model(), make_batch("llava_onevision", rows=3)
    batch.side["audio"][1] = None
    ids, prompt = batch.inputs["input_ids"], batch.inputs["input_ids"].shape[1]
    said = model.generate(**batch.inputs, **batch.extras, **GREEDY)
    assert torch.equal(said[:, :prompt], ids) and said.shape[1] == prompt + GREEDY["max_new_tokens"]
    told = model.generate(**batch.inputs, **batch.extras, **GREEDY, return_dict_in_generate=True, output_scores=True)
    assert torch.equal(told.sequences, said) and len(told.scores) == GREEDY["max_new_tokens"]
    several = model.generate(**batch.inputs, **batch.extras, **GREEDY, num_beams=2, num_return_sequences=2)
    assert torch.equal(several[:, :prompt], ids.repeat_interleave(2, dim=0))
    limits = {"max_length": prompt + 3, "min_length": prompt + 3, "do_sample": False}
    assert torch.equal(model.generate(**batch.inputs, **batch.extras, **limits), said[:, : prompt + 3])


def test_appended_tokens_are_not_learnt() -> None:
    model, batch = append_model(), make_batch("llava_onevision", side="right")
    labels = torch.full_like(batch.inputs["input_ids"], -100)
    for row, length in enumerate(batch.inputs["attention_mask"].sum(dim=1).tolist()):
        labels[row, length - 2 : length] = batch.inputs["input_ids"][row, length - 2 : length]
    with torch.no_grad():
        found = model(**batch.inputs, **batch.extras, labels=labels)
    wanted = torch.nn.functional.cross_entropy(found.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(found.loss, wanted, atol=1e-5, rtol=1e-5)


def test_beside_a_patch_that_adds_a_residual() -> None:
    model, batch = append_model(), make_batch("llava_onevision")
    model.add_patch("depth", patch_config(channel="depth"), LoraSpec(r=4))
    randomize(model, "depth", seed=4)
    batch.side["depth"] = [side_channel(seed=row + 9, tokens=4) for row in range(2)]
    both = logits(model, batch.inputs, **batch.extras)
    for one in (["audio"], ["depth"]):
        assert not torch.allclose(logits(model, batch.inputs, **batch.extras, patches=one), both, atol=1e-2)
    chosen = [["audio", "depth"], ["depth"]]
    lengths = batch.inputs["attention_mask"].sum(dim=1).tolist()
    first, second = logits(model, batch.inputs, **batch.extras, patches=chosen).split(lengths)
    only = logits(model, batch.inputs, **batch.extras, patches=["depth"]).split(lengths)
    torch.testing.assert_close(first, both.split(lengths)[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second, only[1], atol=1e-4, rtol=1e-4)


def test_two_patches_append_in_the_order_of_their_names() -> None:
    model, batch = append_model(), make_batch("llava_onevision")
    model.add_patch("depth", patch_config(channel="depth", type="append", heads=4), LoraSpec(r=4))
    randomize(model, "depth", seed=4)
    batch.side["depth"] = [side_channel(seed=row + 9, steps=3) for row in range(2)]
    seen = _tokens_seen(model, batch)
    steps = [signal.steps + 3 for signal in batch.side["audio"] if signal is not None]
    assert seen == [count + more for count, more in zip(_lengths(batch), steps, strict=True)]
    there = logits(model, batch.inputs, **batch.extras, patches=["audio", "depth"])
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=["depth", "audio"]), there)


def test_the_reference_layout_keeps_its_newlines() -> None:
    model, batch = append_model(layout="grid"), make_batch("llava_onevision", layout="grid")
    assert _tokens_seen(model, batch) == [length + 4 + row for row, length in enumerate(_lengths(batch))]


def test_inputs_that_cannot_be_made_longer_are_refused() -> None:
    model, batch = append_model(), make_batch("llava_onevision")
    positions = torch.arange(batch.inputs["input_ids"].shape[1]).expand(2, -1)
    with pytest.raises(InputError, match="position_ids cannot be given beside a patch that appends tokens"):
        model(**batch.inputs, **batch.extras, position_ids=positions)
    square = batch.inputs["attention_mask"][:, None, :, None]
    with pytest.raises(InputError, match="attention_mask has shape"):
        model(**{**batch.inputs, "attention_mask": square}, **batch.extras)


def _lengths(batch: Batch) -> list[int]:
    lengths: list[int] = batch.inputs["attention_mask"].sum(dim=1).tolist()
    return lengths


def _tokens_seen(model: PaveModel, batch: Batch) -> list[int]:
    """Number of tokens of each row that the language model reads."""
    masks: list[Tensor] = []
    handle = model.base.register_forward_pre_hook(
        lambda _, __, given: masks.append(given["attention_mask"]), with_kwargs=True
    )
    try:
        logits(model, batch.inputs, **batch.extras)
    finally:
        handle.remove()
    counts: list[int] = masks[0].sum(dim=1).tolist()
    return counts
