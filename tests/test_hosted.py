"""A model under a trainer: checkpoints recompute each layer with the LoRAs that acted in its own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments

from pave import LoraSpec, PaveModel
from tests.batches import Batch, make_batch, patched, randomize
from tests.tiny import FAMILIES, make_model

Run = Callable[[PaveModel, Batch], Tensor]


def two_weights(model: PaveModel, batch: Batch) -> Tensor:
    ask = partial(model, **batch.inputs, **batch.extras, labels=batch.inputs["input_ids"])
    return ask().loss + ask(patches={"audio": 0.5}).loss


def two_choices(model: PaveModel, batch: Batch) -> Tensor:
    ask = partial(model, **batch.inputs, **batch.extras, labels=batch.inputs["input_ids"])
    return ask(patches=["manner"]).loss + ask(patches=["audio"]).loss


def distilled(model: PaveModel, batch: Batch) -> Tensor:
    student = model(**batch.inputs, **batch.extras).logits
    with torch.no_grad(), model.base_only():
        teacher = model(**batch.inputs, **batch.extras).logits
    return (student - teacher).square().mean()


def gradients(run: Run, family: str, checkpointing: dict[str, Any] | None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model, batch = patched(make_model(family)), make_batch(family)
    model.add_patch("manner", None, LoraSpec(r=2, targets=("q_proj", "up_proj")))
    randomize(model, "manner", seed=5)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if checkpointing is not None:
        model.activation_checkpointing_enable(checkpointing)
    model.train()
    run(model, batch).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [{}, {"use_reentrant": True}], ids=["default", "reentrant"])
@pytest.mark.parametrize("run", [two_weights, two_choices, distilled])
def test_two_forward_passes_before_one_backward_pass(run: Run, checkpointing: dict[str, Any], family: str) -> None:
    wanted, found = gradients(run, family, None), gradients(run, family, checkpointing)
    assert any(".lora_A.audio." in name and gradient.any() for name, gradient in found.items())
    assert found.keys() == wanted.keys()
    torch.testing.assert_close(found, wanted)


def test_a_trainer_enables_it(tmp_path: Path) -> None:
    model, batch = patched(make_model("llava_onevision")), make_batch("llava_onevision", rows=1)
    arguments = TrainingArguments(
        str(tmp_path), gradient_checkpointing=True, max_steps=1, save_strategy="no", report_to=[], use_cpu=True
    )
    losses = []

    class Distiller(Trainer):
        def compute_loss(self, model: PaveModel, inputs: dict[str, Any], *given: Any, **options: Any) -> Tensor:
            losses.append(distilled(model, inputs["batch"]))
            return losses[-1]

    trainer = Distiller(model, arguments, train_dataset=[batch], data_collator=lambda rows: {"batch": rows[0]})
    before = [weight.detach().clone() for weight in model.lora.parameters("audio")]
    trainer.train()
    assert model.base.is_activation_checkpointing and losses[0].isfinite()
    assert not all(torch.equal(*pair) for pair in zip(before, model.lora.parameters("audio"), strict=True))


def test_a_merged_copy_is_free_of_the_model_under_checkpoints() -> None:
    model, batch = patched(make_model("llava_onevision")), make_batch("llava_onevision")
    model.activation_checkpointing_enable()
    copy = model.lora.merged_copy(["audio"]).train().requires_grad_(True)
    assert not any(".lora_" in name or ".base_layer" in name for name in copy.state_dict())
    copy(**batch.inputs, labels=batch.inputs["input_ids"]).loss.backward()
    assert copy.get_output_embeddings().weight.grad.isfinite().all()


def test_a_base_that_nobody_spread_has_no_device_map() -> None:
    model = patched(make_model(FAMILIES[0]))
    assert not hasattr(model, "hf_device_map")
    model.base.hf_device_map = {"": "cpu"}
    assert model.hf_device_map == {"": "cpu"}
