"""What DeepSpeed's third stage asks for: weights are put together by all processes before they are read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from pave import PaveModel
from pave.sharding import is_sharded
from pave.training.trainer import PATCHES_FOLDER
from tests.batches import logits
from tests.composed import channel_batch, composed, only
from tests.tiny import FAMILIES
from tests.training.test_trainer import make_trainer

FAMILY = FAMILIES[0]


class ThirdStage:
    """Stands for ``deepspeed.zero``: a sharded weight is empty until it is asked for by name."""

    def __init__(self) -> None:
        self.values: dict[int, torch.Tensor] = {}
        self.asked: list[int] = []

    def shard(self, weights: Iterable[nn.Parameter]) -> None:
        for weight in weights:
            weight.ds_id = len(self.values)
            self.values[weight.ds_id] = weight.data
            weight.data = weight.data.new_empty(0)

    @contextmanager
    def GatheredParameters(self, weights: list[Any]) -> Iterator[None]:  # noqa: N802
        for weight in weights:
            weight.data = self.values[weight.ds_id]
            self.asked.append(weight.ds_id)
        try:
            yield
        finally:
            for weight in weights:
                weight.data = weight.data.new_empty(0)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> ThirdStage:
    stage = ThirdStage()
    module = ModuleType("deepspeed")
    module.__spec__ = ModuleSpec("deepspeed", None)
    module.zero = stage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deepspeed", module)
    return stage


def test_a_patch_is_saved_whole_and_nothing_else_is_gathered(
    stage: ThirdStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = composed(FAMILY)
    model.save_patch("audio", tmp_path / "wanted")
    stage.shard(model.parameters())
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    model.save_patch("audio", tmp_path / "found")
    for file in ("patch.safetensors", "lora/adapter_model.safetensors"):
        assert (tmp_path / "found" / file).read_bytes() == (tmp_path / "wanted" / file).read_bytes()
    own = [*model.patches["audio"].parameters(), *model.lora.parameters("audio")]
    assert sorted(stage.asked) == sorted(weight.ds_id for weight in own)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    model.save_patch("audio", tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_the_trainer_saves_it_so(stage: ThirdStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path / "run")
    trainer.save_model(str(tmp_path / "wanted"))
    stage.shard(trainer.model.parameters())
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    trainer.save_model(str(tmp_path / "found"))
    for file in ("patch.safetensors", "lora/adapter_model.safetensors"):
        found, wanted = (tmp_path / name / PATCHES_FOLDER / "audio" / file for name in ("found", "wanted"))
        assert found.read_bytes() == wanted.read_bytes()


def test_weights_that_stand_in_the_inner_model_are_there_for_its_features(stage: ThirdStage) -> None:
    model, batch = composed(FAMILY), channel_batch(FAMILY, 2)
    wanted = logits(model, batch.inputs, **batch.extras)
    newline = model.base.base_model.image_newline
    stage.shard([newline])
    assert newline.numel() == 0
    assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)
    assert stage.asked == [0]


def test_every_process_calls_a_sharded_patch(stage: ThirdStage) -> None:
    """Also in evaluation, though no sample of this one's batch has the channel."""
    model, batch = composed(FAMILY, ["audio", "depth"]), channel_batch(FAMILY, 2)
    called = watch(model)
    side = only(batch, "audio")
    wanted = logits(model, batch.inputs, side=side, video_times_sec=batch.times)
    assert called == ["audio"]
    for weight in model.patches["depth"].parameters():
        weight.ds_id = 0
    assert is_sharded(model.patches["depth"]) and not is_sharded(model.patches["audio"])
    assert torch.equal(logits(model, batch.inputs, side=side, video_times_sec=batch.times), wanted)
    assert called == ["audio", "audio", "depth"]


def test_every_process_calls_every_patch_in_training() -> None:
    model, batch = composed(FAMILY, ["audio", "depth"]), channel_batch(FAMILY, 2)
    called = watch(model)
    model.train()
    ids = batch.inputs["input_ids"]
    model(**batch.inputs, side=only(batch, "audio"), video_times_sec=batch.times, labels=ids)
    model(input_ids=ids[:, -2:], attention_mask=torch.ones_like(ids[:, -2:]), labels=ids[:, -2:])
    model(**batch.inputs, side=only(batch, "audio"), video_times_sec=batch.times, patches=["depth"])
    assert [sorted(called[index : index + 2]) for index in (0, 2, 4)] == [["audio", "depth"]] * 3
    assert len(called) == 6


def watch(model: PaveModel) -> list[str]:
    """Return a list that grows by the name of each patch that is called."""
    called: list[str] = []
    for name, patch in model.patches.items():
        patch.register_forward_hook(lambda *_, name=name: called.append(name))
    return called
