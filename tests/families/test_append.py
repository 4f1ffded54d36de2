"""Patches that append tokens do what every patch must, on the families that give them a place; others refuse them."""

from __future__ import annotations

import functools

import pytest

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
