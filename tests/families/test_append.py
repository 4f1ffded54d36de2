"""Patches that append tokens do what every patch must, on the families that give them a place; others refuse them."""

from __future__ import annotations

import functools

import pytest

from pave import InputError, PaveModel
from tests.families.behaviours import BEHAVIOURS
from tests.families.missing import MISSING
from tests.families.subject import Subject, make_subject, patch_config
from tests.families.tiny import NAMES, make_base

PLACED = ("llava_onevision", "video_llama_3")


@functools.lru_cache(maxsize=1)
def subject_of(name: str) -> Subject:
    return make_subject(name, "append")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("channel", ("audio", "depth"))
@pytest.mark.parametrize("name", PLACED)
def test_behaviour(name: str, channel: str, behaviour: str) -> None:
    if (name, behaviour) not in MISSING:
        BEHAVIOURS[behaviour](subject_of(name), channel)
