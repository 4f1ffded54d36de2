"""LoRAs routed to the rows of a layer's input make exactly the sum that each row asks for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from pave import InputError
from pave.routing import SHORT_TOKENS, RowLoras

ROWS: list[dict[str, float]] = [{"one": 1.0}, {}, {"one": 0.5, "two": 1.0}, {"three": -2.0, "two": 1.0, "one": 1.0}]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(6, 9)
        self.narrow = nn.Linear(9, 5)

    def forward(self, features: Tensor) -> Tensor:
        return self.narrow(self.wide(features))


@pytest.fixture
def model() -> Any:
    """Three LoRAs of different ranks; the last is in one layer only."""
    torch.manual_seed(0)
    settings = {"init_lora_weights": False, "lora_alpha": 3}
    model = get_peft_model(Two(), LoraConfig(r=2, target_modules=["wide", "narrow"], **settings), "one")
    model.add_adapter("two", LoraConfig(r=3, target_modules=["wide", "narrow"], **settings))
    model.add_adapter("three", LoraConfig(r=1, target_modules=["narrow"], **settings))
    model.base_model.disable_adapter_layers()
    return model.eval()


def layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def expected(model: Any, features: Tensor, row: dict[str, float]) -> Tensor:
    for layer in layers(model):
        total = layer.base_layer(features)
        for name, weight in row.items():
            if name in layer.lora_A:
                total = total + weight * features @ layer.get_delta_weight(name).T
        features = total
    return features


@pytest.mark.parametrize("length", [3, SHORT_TOKENS])
@pytest.mark.parametrize("repeats", [1, 3])
def test_each_row_gets_its_sum(model: Any, length: int, repeats: int) -> None:
    features = torch.randn(len(ROWS) * repeats, length, 6)
    with RowLoras(ROWS).acting(layers(model)):
        found = model.base_model.model(features)
        again = model.base_model.model(features)
    wanted = [expected(model, features[index], ROWS[index // repeats]) for index in range(len(features))]
    torch.testing.assert_close(found, torch.stack(wanted))
    assert torch.equal(found, again)
    assert torch.equal(found[repeats : 2 * repeats], model.base_model.model(features)[repeats : 2 * repeats])


@pytest.mark.parametrize("length", [2, SHORT_TOKENS])
def test_rows_that_a_layer_sees_flattened(model: Any, length: int) -> None:
    features = torch.randn(len(ROWS), length, 6)
    with RowLoras(ROWS).acting(layers(model)):
        flat, whole = model.base_model.model(features.flatten(0, 1)), model.base_model.model(features)
    torch.testing.assert_close(flat, whole.flatten(0, 1))


def test_nothing_stays_behind(model: Any) -> None:
    features = torch.randn(4, 3, 6)
    before = model.base_model.model(features)
    with pytest.raises(RuntimeError, match="stop"), RowLoras(ROWS).acting(layers(model)):
        raise RuntimeError("stop")
    assert torch.equal(model.base_model.model(features), before)


def test_rows_that_cannot_be_told_apart_are_refused(model: Any) -> None:
    with pytest.raises(InputError, match="got 6 rows for 4 samples"), RowLoras(ROWS).acting(layers(model)):
        model.base_model.model(torch.randn(6, 3, 6))


def test_half_precision_features(model: Any) -> None:
    features = torch.randn(4, 3, 6)
    with RowLoras(ROWS).acting(layers(model)):
        wanted = model.base_model.model(features)
        for layer in layers(model):
            layer.base_layer.to(torch.bfloat16)
        found = model.base_model.model(features.to(torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.15, rtol=0.05)
