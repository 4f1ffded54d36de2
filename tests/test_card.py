"""The card tells what binds whoever uses the patch's encoder."""

from __future__ import annotations

from typing import Any

import pytest

from pave.card import render_card
from pave.config import BaseRecord, PatchConfig, PatchSpec, Preprocessing

HEADING = "## Licence of the encoder's weights"


def card(encoder: dict[str, Any] | None) -> str:
    spec = PatchSpec(BaseRecord("some/base", "llava_onevision", 32, 16), PatchConfig("audio", 24), None)
    return render_card(spec, Preprocessing(8, encoder))


@pytest.mark.parametrize(
    ("encoder", "says"),
    [("imagebind", "CC BY-NC-SA 4.0"), ("languagebind", "MIT"), ("llava3d", "non-commercial use only")],
)
def test_licences_of_published_weights(encoder: str, says: str) -> None:
    text = card({"type": encoder, "weights": "w.pth"})
    assert says in text.split(HEADING)[1].split("##")[0]


@pytest.mark.parametrize("encoder", [None, {"type": "log_mel"}, {"type": "an encoder that is not installed"}, {}])
def test_nothing_is_said_where_nothing_binds(encoder: dict[str, Any] | None) -> None:
    assert HEADING not in card(encoder)
