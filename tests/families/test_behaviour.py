"""Every family does what every patched base must do, except where transformers itself fails, which is recorded."""

from __future__ import annotations

import functools

import pytest

from tests.families.behaviours import BEHAVIOURS
from tests.families.missing import MISSING
from tests.families.subject import CHANNELS, Subject, make_subject
from tests.families.tiny import NAMES


@functools.lru_cache(maxsize=1)
def subject_of(name: str) -> Subject:
    return make_subject(name)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", NAMES)
def test_behaviour(name: str, channel: str, behaviour: str) -> None:
    if (name, behaviour) not in MISSING:
        BEHAVIOURS[behaviour](subject_of(name), channel)
        return
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever transformers fails with
        BEHAVIOURS[behaviour](subject_of(name), channel)


def test_what_is_missing_is_known() -> None:
    assert all(name in NAMES and behaviour in BEHAVIOURS for name, behaviour in MISSING)
    assert len({name for name, _ in MISSING}) <= 3 or sum(not _missing(name) for name in NAMES) >= 22


def _missing(name: str) -> list[str]:
    return [behaviour for family, behaviour in MISSING if family == name]
