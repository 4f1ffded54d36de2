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
    subject, reason = subject_of(name), MISSING.get((name, behaviour))
    if reason is None:
        BEHAVIOURS[behaviour](subject, channel)
    else:
        assert isinstance(getattr(subject.stock, reason.stock), Exception)


def test_most_families_are_whole() -> None:
    assert all(name in NAMES and behaviour in BEHAVIOURS for name, behaviour in MISSING)
    assert len(NAMES) == 29 and len({name for name, _ in MISSING}) <= 5
    assert {behaviour for _, behaviour in MISSING} == {"beams", "cache"}
