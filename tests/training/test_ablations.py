"""Each field that a study turns trains a patch, on its own way: none of them is without an effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pave.config import LoraSpec, PatchConfig
from pave.data.disturbance import Disturbance
from pave.model import PaveModel
from pave.training.train import train
from tests.tiny import LORA, PATCH, SIDE_DIM, base_folder
from tests.training.test_train import make_config

ABLATIONS: dict[str, dict[str, Any]] = {
    "append": {"patch": PatchConfig("audio", SIDE_DIM, "append", hidden_dim=16)},
    "reference": {"patch": replace(PATCH, value_projection="tied", alignment="index", layout="grid")},
    "none": {"patch": replace(PATCH, alignment="none")},
    "overlap": {"patch": replace(PATCH, overlap_sec=0.5)},
    "rotary_time": {"patch": replace(PATCH, positions="rotary_time", overlap_sec=0.5)},
    "layers": {"patch": replace(PATCH, layers=3)},
    "hidden": {"patch": replace(PATCH, hidden_dim=32, heads=4)},
    "projected": {"patch": replace(PATCH, query="projected")},
    "tanh": {"patch": replace(PATCH, gate="tanh")},
    "rank_0": {"lora": None},
    "rank_4": {"lora": LoraSpec(r=2)},
    "side_dropout": {"side_dropout": 0.5},
    "disturbed": {"augmentation": Disturbance(uneven_sec=0.5, late_sec=0.5, keep=0.6)},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("plain")
    return load_file(train(make_config(folder, lora=LORA)).folder / "patch.safetensors")


@pytest.mark.parametrize("name", ABLATIONS)
def test_it_trains_otherwise_than_the_default(name: str, tmp_path: Path, plain: dict[str, torch.Tensor]) -> None:
    config = make_config(tmp_path, **ABLATIONS[name])
    found = load_file(train(config).folder / "patch.safetensors")
    scaling = next(key for key in found if key.startswith(("norm.weight", "tanh_gate.weight")))
    start = 1.0 if name == "append" else 0.0
    assert (found[scaling] - start).any()
    assert found.keys() != plain.keys() or any(
        found[key].shape != plain[key].shape or not torch.equal(found[key], plain[key]) for key in plain
    )
    model = PaveModel.from_pretrained(config.out, base_folder("llava_onevision"))
    assert model.specs["audio"].lora == config.lora
