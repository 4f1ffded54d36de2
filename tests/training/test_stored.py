"""Training from stored video tokens is training through the tower, within the float type of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import pave.training.train as module
from pave.data.store import FeatureStore
from pave.model import PaveModel
from pave.training.config import TrainConfig
from pave.training.facts import loss_curve
from pave.training.train import train
from tests.tiny import FAMILIES
from tests.training.test_train import make_config


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Loss curves of the runs, one after the other."""
    found: list[list[float]] = []

    def curve(history: list[dict[str, float]]) -> list[tuple[int, float]]:
        found.append([loss for _, loss in loss_curve(history)])
        return loss_curve(history)

    monkeypatch.setattr(module, "loss_curve", curve)
    return found


def stored(config: TrainConfig, **fields: object) -> TrainConfig:
    return replace(config, out=config.out.with_name("stored"), store=config.out.with_name("store"), **fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_loss_curve(
    family: str, tmp_path: Path, curves: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path, family, batch_size=1, steps=8)
    train(config)
    train(stored(config))
    assert len(curves[0]) == 8 and curves[0] == curves[1]
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    train(replace(stored(config), out=tmp_path / "again", workers=1))
    train(replace(stored(config), out=tmp_path / "cached", cache_video_tokens=True))
    assert curves[2] == curves[3] == curves[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_same_within_bf16(tmp_path: Path, curves: list[list[float]], precision: str) -> None:
    config = make_config(tmp_path, batch_size=1, steps=8, precision=precision, patch_lr=1e-3, lora_lr=1e-3)
    train(config)
    FeatureStore(tmp_path / "store", "bf16")
    train(stored(config))
    if precision == "bf16":
        assert curves[0] == curves[1]
    else:
        assert curves[1] != curves[0]
        assert curves[1] == pytest.approx(curves[0], rel=2**-6)
