"""Patches that append tokens do what every patch must, on the families that give them a place; others refuse them."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from pave import InputError, PaveModel
from tests.families.behaviours import BEHAVIOURS
from tests.families.missing import MISSING
from tests.families.subject import Subject, make_subject, patch_config
from tests.families.tiny import NAMES, make_base

REFUSED = ("ernie4_5_vl_moe", "instructblipvideo", "qwen2_5_omni", "qwen3_omni_moe")


@functools.lru_cache(maxsize=1)
def subject_of(name: str) -> Subject:
    return make_subject(name, "append")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("name", sorted(set(NAMES) - set(REFUSED)))
def test_behaviour(name: str, behaviour: str) -> None:
    if (name, behaviour) not in MISSING:
        BEHAVIOURS[behaviour](subject_of(name), "depth")


@pytest.mark.parametrize("name", REFUSED)
def test_other_families_refuse_them(name: str) -> None:
    model = PaveModel.from_base(make_base(name))
    with pytest.raises(InputError, match="gives no place to tokens .*; set type: cross_attention") as caught:
        model.add_patch("audio", patch_config(model.family, "audio", "append"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_positions_in_a_grid_stay_and_appended_tokens_are_placed_as_text(name: str) -> None:
    subject = subject_of(name)
    call = subject.call("depth", subject.samples()[:1])
    plain, longer = _positions(subject, {**call, "patches": []}), _positions(subject, call)
    marks = (call["input_ids"][0] == subject.family.placeholder_id).nonzero()
    end, added = int(marks[-1]) + 1, longer.shape[-1] - plain.shape[-1]
    assert added == 20 and torch.equal(longer[..., :end], plain[..., :end])
    after = torch.arange(added) + longer[..., :end].max() + 1
    assert torch.equal(longer[..., end : end + added], after.expand(3, 1, -1))
    assert torch.equal(longer[..., end + added :], plain[..., end:] + added)


def test_a_length_that_counts_the_prompt_counts_the_callers() -> None:
    subject = subject_of("llava_onevision")
    call = subject.call("depth", subject.samples()[:1])
    longest = call["input_ids"].shape[1] + 3
    told = subject.model.generate(**call, do_sample=False, max_length=longest)
    config = GenerationConfig(do_sample=False, max_length=longest, eos_token_id=None, pad_token_id=0)
    assert torch.equal(subject.model.generate(**call, generation_config=config), told)
    assert told.shape[1] == longest and config.max_length == longest


def _positions(subject: Subject, call: dict[str, Any]) -> torch.Tensor:
    """Positions (3,1,L) that the language model is told."""
    told: list[torch.Tensor] = []
    decoder = subject.model.base.get_submodule(subject.family.language_model)
    handle = decoder.register_forward_pre_hook(
        lambda _, __, given: told.append(given["position_ids"]), with_kwargs=True
    )
    try:
        subject.logits(**call)
    finally:
        handle.remove()
    return told[0][-3:]
