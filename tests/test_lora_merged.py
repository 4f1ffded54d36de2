"""LoRAs merged into the base give the same answers, and leave the base as it was, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from pave import InputError, LoraSpec, PaveModel
from tests.batches import logits, make_batch, patch_config, patched, randomize
from tests.tiny import FAMILIES, make_model


@pytest.mark.parametrize("family", FAMILIES)
def test_same_logits_and_the_base_comes_back(family: str) -> None:
    base = make_model(family)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    model = patched(base)
    batch = make_batch(family)
    plain = logits(model, batch.inputs, **batch.extras)
    with model.lora.merged(["audio"]):
        merged = logits(model, batch.inputs, **batch.extras)
        assert not torch.equal(merged, plain)
        torch.testing.assert_close(merged, plain, rtol=1e-3, atol=1e-3)
    assert torch.equal(logits(model, batch.inputs, **batch.extras), plain)
    after = {name.replace(".base_layer", ""): weight for name, weight in base.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_other_loras_are_refused_meanwhile() -> None:
    model = patched(make_model("llava_onevision"))
    batch = make_batch("llava_onevision")
    with model.lora.merged(["audio"]):
        with pytest.raises(InputError, match="audio are merged into the base"), model.base_only():
            model(**batch.inputs, **batch.extras)
        with pytest.raises(InputError, match="merged into the base"):
            model(**batch.inputs, **batch.extras, patches=[["audio"], []])
    with model.base_only():
        assert model(**batch.inputs, **batch.extras).logits.isfinite().all()


def two_merged_into() -> tuple[PaveModel, dict[str, torch.Tensor]]:
    """A model with a LoRA on ``gate_proj`` and one on ``up_proj``, and its base's weights."""
    base = make_model("llava_onevision")
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    model = PaveModel.from_base(base)
    for name, target in (("gate", "gate_proj"), ("up", "up_proj")):
        model.add_patch(name, None, LoraSpec(r=2, targets=(target,)))
        randomize(model, name)
    return model, before


def assert_base_is(model: PaveModel, before: dict[str, torch.Tensor]) -> None:
    after = {name.replace(".base_layer", ""): weight for name, weight in model.base.state_dict().items()}
    changed = [name for name, weight in before.items() if not torch.equal(after[name], weight)]
    assert changed == []


def test_no_patch_comes_or_goes_meanwhile(tmp_path: Path) -> None:
    model, before = two_merged_into()
    model.save_patch("up", tmp_path / "up")
    batch = make_batch("llava_onevision")
    plain = logits(model, batch.inputs)
    with model.lora.merged(["gate", "up"]):
        for change in (
            lambda: model.add_patch("third", None, LoraSpec(r=2, targets=("gate_proj", "up_proj"))),
            lambda: model.add_patch("audio", patch_config()),
            lambda: model.load_patch(tmp_path / "up", "third"),
            lambda: model.replace_patch("up", tmp_path / "up"),
            lambda: model.remove_patch("up"),
            lambda: model.lora.merged(["up"]).__enter__(),
        ):
            with pytest.raises(InputError, match="gate, up are merged into the base; leave that state first"):
                change()
            assert list(model.specs) == list(model.lora.specs) == ["gate", "up"] and not model.patches
    assert_base_is(model, before)
    assert torch.equal(logits(model, batch.inputs), plain)


def test_a_merge_that_fails_midway_leaves_the_base_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model, before = two_merged_into()
    batch = make_batch("llava_onevision")
    plain = logits(model, batch.inputs)
    layers = [layer for layer in model.base.modules() if isinstance(layer, LoraLayer)]

    def fail(*arguments: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(layers[-1], "merge", fail)
    with pytest.raises(torch.OutOfMemoryError), model.lora.merged(["gate", "up"]):
        raise AssertionError("the merge must not seem to have worked")
    assert_base_is(model, before)
    assert torch.equal(logits(model, batch.inputs), plain)
    model.remove_patch("up")
