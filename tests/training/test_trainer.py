"""PaveTrainer by itself: learning rates, what is trained, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from pave.config import LoraSpec
from pave.errors import InputError
from pave.training.progress import ProgressCallback
from pave.training.trainer import PaveTrainer, check_trainable, checkpoints, trained_weights
from tests.tiny import PATCH, patched, side_channel


def make_trainer(folder: Path, **fields: Any) -> PaveTrainer:
    arguments = TrainingArguments(str(folder), report_to="none", weight_decay=0.1, disable_tqdm=True, use_cpu=True)
    model = fields.pop("model", None) or patched("llava_onevision")
    settings = {"names": ["audio"], "patch_lr": 1e-3, "lora_lr": 2e-4, "args": arguments, **fields}
    return PaveTrainer(model, **settings)


def test_patch_and_lora_have_their_own_learning_rates(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    rates = {}
    decays = {}
    for group in trainer.create_optimizer().param_groups:
        for weight in group["params"]:
            rates[id(weight)], decays[id(weight)] = group["lr"], group["weight_decay"]
    model = trainer.model
    assert {rates[id(weight)] for weight in model.patches["audio"].parameters()} == {1e-3}
    assert {rates[id(weight)] for weight in model.lora.parameters("audio")} == {2e-4}
    assert len(rates) == sum(weight.requires_grad for weight in model.parameters())
    for weight in model.patches["audio"].parameters():
        assert decays[id(weight)] == (0.1 if weight.ndim >= 2 else 0.0)


def test_the_final_norm_may_have_a_rate_of_its_own(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, norm_lr=3e-2)
    rates = {id(w): group["lr"] for group in trainer.create_optimizer().param_groups for w in group["params"]}
    for path, weight in trainer.model.patches["audio"].named_parameters():
        assert rates[id(weight)] == (3e-2 if path in ("norm.weight", "norm.bias") else 1e-3)


def test_a_rate_for_a_norm_that_is_not_there_is_refused(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    model.add_patch("lora_only", None, LoraSpec(r=2))
    with pytest.raises(InputError, match="norm_lr is 0.03, but 'lora_only' has no final norm"):
        make_trainer(tmp_path, model=model, names=["lora_only"], norm_lr=3e-2)


def test_only_the_named_patch_is_trained(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    model.add_patch("other", PATCH)
    make_trainer(tmp_path, model=model)
    assert not any(weight.requires_grad for weight in model.patches["other"].parameters())
    assert all(weight.requires_grad for weight in model.patches["audio"].parameters())
    with pytest.raises(InputError, match="no patch 'audoi'"):
        make_trainer(tmp_path, model=model, names=["audoi"])


def test_a_trained_base_is_noticed() -> None:
    model = patched("llava_onevision")
    check_trainable(model, ["audio"])
    weight = next(model.base.parameters())
    weight.requires_grad_(True)
    with pytest.raises(RuntimeError, match="is trained, but exactly 'audio'"):
        check_trainable(model, ["audio"])
    weight.requires_grad_(False)
    next(model.patches.parameters()).requires_grad_(False)
    with pytest.raises(RuntimeError, match="is frozen"):
        check_trainable(model, ["audio"])


def test_side_channels_are_dropped_at_their_rate_and_the_same_each_time(tmp_path: Path) -> None:
    signal = side_channel(0)
    trainers = [make_trainer(tmp_path, side_dropout=0.25) for _ in range(2)]
    found = []
    for trainer in trainers:
        steps = []
        for step in range(3):
            trainer.state.global_step = step
            steps.append([entry is None for entry in trainer._thinned({"audio": [signal] * 2000})["audio"]])
        found.append(steps)
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]
    assert np.mean(found[0]) == pytest.approx(0.25, abs=0.02)


def test_the_rate_of_the_norm_is_that_of_a_gate_in_its_place(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    model.add_patch("gated", replace(PATCH, gate="tanh"))
    trainer = make_trainer(tmp_path, model=model, names=["gated"], norm_lr=3e-2)
    rates = {id(w): group["lr"] for group in trainer.create_optimizer().param_groups for w in group["params"]}
    assert rates[id(model.patches["gated"].tanh_gate.weight)] == 3e-2


def test_only_the_process_that_saves_writes_the_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingArguments, "should_save", property(lambda _: False))
        trainer.save_model(str(tmp_path / "second"))
    assert not (tmp_path / "second").exists()
    trainer.save_model(str(tmp_path / "first"))
    assert (tmp_path / "first" / "patches" / "audio" / "patch.safetensors").is_file()


def test_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(FloatingPointError, match="the loss is .* at step 0; lower the learning rates"):
            ProgressCallback().on_log(trainer.args, trainer.state, trainer.control, {"loss": bad})


@pytest.mark.parametrize("part", ["patch", "norm", "lora"])
def test_weights_that_are_no_numbers_are_not_written(part: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.write_patch("audio", tmp_path / "sound")
    with torch.no_grad():
        trained_weights(trainer.model, ["audio"])[part][-1].view(-1)[-1] = float("inf")
    with pytest.raises(FloatingPointError, match="weights are NaN or infinite at step 0; lower the learning rates"):
        trainer.write_patch("audio", tmp_path / "broken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound"]


def test_one_broken_patch_keeps_the_others_from_being_written(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    model.add_patch("other", replace(PATCH, channel="other"))
    trainer = make_trainer(tmp_path, model=model, names=["audio", "other"])
    with torch.no_grad():
        next(model.patches["other"].parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        trainer.save_model(str(tmp_path / "all"))
    assert not (tmp_path / "all").exists()


def test_checkpoints_are_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-old", "staging"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]
    assert checkpoints(tmp_path / "none") == []
