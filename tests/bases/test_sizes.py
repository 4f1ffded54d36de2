"""Known sizes have the parameter counts that their publishers state."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pave import InputError
from pave.bases.sizes import SIZES, configuration_of
from pave.cost import meta_model
from tests.tiny import base_folder

PUBLISHED = {
    "llava-onevision-0.5b": 0.894e9,
    "llava-onevision-7b": 8.03e9,
    "qwen2.5-vl-3b": 3.755e9,
    "qwen2.5-vl-7b": 8.292e9,
}


@pytest.mark.parametrize("name", SIZES)
def test_parameters(name: str) -> None:
    model = meta_model(configuration_of(name))
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(PUBLISHED[name], rel=1e-3)


def test_hub_id_of_a_known_size_needs_no_download(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config = configuration_of("llava-hf/llava-onevision-qwen2-7b-ov-hf")
    assert config.to_dict() == configuration_of("llava-onevision-7b").to_dict()


def test_folder() -> None:
    assert configuration_of(base_folder("qwen2_5_vl")).model_type == "qwen2_5_vl"


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no config.json"):
        configuration_of(tmp_path)


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(InputError, match="llava-onevision-0.5b, .*did you mean 'llava-onevision-7b'"):
        configuration_of("llava-onevison-7b")
