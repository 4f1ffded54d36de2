"""Released sizes: what the data says, built without weights, has as many parameters as was published."""

from __future__ import annotations

import dataclasses
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING

from pave import InputError
from pave.bases.sizes import Size, configuration_of, hub_id_of, sizes
from pave.cost import meta_base
from tests.tiny import base_folder


def parameters(size: Size) -> int:
    return sum(weight.numel() for weight in meta_base(size.configuration()).parameters())


@pytest.mark.parametrize("size", sizes().values(), ids=lambda size: size.name)
def test_parameters_agree_with_what_was_published(size: Size) -> None:
    if size.model_type == "perception_lm" and find_spec("timm") is None:
        pytest.skip("the tower of Perception LM is one of timm's")
    assert abs(parameters(size) - size.published) <= size.tolerance * size.published


def test_a_wrong_dimension_would_be_noticed() -> None:
    size = sizes()["qwen3-vl-4b"]
    text = {**size.config["text_config"], "num_hidden_layers": 35}
    wrong = dataclasses.replace(size, config={**size.config, "text_config": text})
    assert abs(parameters(wrong) - wrong.published) > 0.01 * wrong.published


@pytest.mark.parametrize("size", sizes().values(), ids=lambda size: size.name)
def test_records_are_complete(size: Size) -> None:
    assert size.model_type in CONFIG_MAPPING
    assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)+", size.name)
    assert size.hub_ids and all(hub_id.count("/") == 1 for hub_id in size.hub_ids)
    assert size.source
    # A tolerance that would hide a layer is explained.
    assert size.tolerance <= 0.01 or size.note


def test_configurations_are_found_by_name_and_by_repository() -> None:
    by_name = configuration_of("qwen2.5-vl-7b").to_dict()
    assert configuration_of("Qwen/Qwen2.5-VL-7B-Instruct").to_dict() == by_name
    assert hub_id_of("qwen2.5-vl-7b") == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert hub_id_of("someone/model") == "someone/model"


def test_a_configuration_can_be_made_twice() -> None:
    size = sizes()["nemotron-3-nano-omni-30b-a3b"]
    assert size.configuration().to_dict() == size.configuration().to_dict()


def test_folder() -> None:
    assert configuration_of(base_folder("qwen2_5_vl")).model_type == "qwen2_5_vl"


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no config.json"):
        configuration_of(tmp_path)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'qwen3-vl-4b'"):
        configuration_of("qwen3-vl-4")
