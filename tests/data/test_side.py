"""Which encoders a model's channels get."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pave.config import Preprocessing
from pave.data.side import SideReader
from pave.errors import InputError
from tests.tiny import LORA, PATCH, PREPROCESSING, patched


def test_encoders_come_from_the_patches() -> None:
    model = patched("llava_onevision")
    model.add_patch("pulse", replace(PATCH, channel="pulse"), None, Preprocessing(4, {"type": "precomputed"}))
    model.add_patch("control", None, LORA, Preprocessing(4))
    reader = SideReader.from_model(model)
    assert reader.channels == ["audio", "pulse"]
    assert (reader.encoders["audio"].width, reader.encoders["pulse"].width) == (6, None)


def test_missing_or_contradicting_encoders_are_refused() -> None:
    model = patched("llava_onevision")
    model.add_patch("second", PATCH, None, replace(PREPROCESSING, encoder={"type": "precomputed"}))
    with pytest.raises(InputError, match="two patches read channel 'audio' through different encoders"):
        SideReader.from_model(model)
    del model.preprocessing["second"]
    with pytest.raises(InputError, match="patch 'second' does not say which encoder makes channel 'audio'"):
        SideReader.from_model(model)
