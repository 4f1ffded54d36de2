"""Which layers of a base get a LoRA, under which names its weights are kept, and what is left without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from pave import InputError, LoraSpec, PaveModel
from tests.batches import logits, make_batch, patch_config, patched, randomize
from tests.tiny import make_model

FAMILY = "llava_onevision"


@pytest.mark.parametrize("name", ["layers", "mlp", "language_model", "q_proj", "model", "weight"])
def test_a_patch_may_have_the_name_of_a_module(name: str, tmp_path: Path) -> None:
    model, batch = PaveModel.from_base(make_model(FAMILY)), make_batch(FAMILY)
    model.add_patch("other", None, LoraSpec(r=2))
    model.add_patch(name, None, LoraSpec(r=2))
    for seed, each in enumerate(("other", name)):
        randomize(model, each, seed)
    model.save_patch(name, tmp_path / "patch")
    again = PaveModel.from_base(make_model(FAMILY))
    again.load_patch(tmp_path / "patch", name)
    wanted = logits(model, batch.inputs, patches=[name])
    assert torch.equal(logits(again, batch.inputs), wanted)
    plain = PeftModel.from_pretrained(make_model(FAMILY), tmp_path / "patch" / "lora")
    assert torch.equal(logits(plain, batch.inputs), wanted)


class TestTargets:
    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (("q_proj", "v_prj"), "named 'v_prj'; choose from down_proj, .*; did you mean 'v_proj'"),
            (("proj",), "named 'proj'"),
            (("q_proj", "lm_head"), "named 'lm_head'"),
            (("model.language_model.layers.0.self_attn.q_proj",), "choose from down_proj"),
            ((), "targets is empty; choose from down_proj"),
        ],
    )
    def test_each_must_be_a_layer(self, targets: tuple[str, ...], message: str) -> None:
        model = PaveModel.from_base(make_model(FAMILY))
        with pytest.raises(InputError, match=message):
            model.add_patch("audio", patch_config(), LoraSpec(targets=targets))
        assert not model.specs and not model.patches and not model.lora.specs
        assert not any(isinstance(module, LoraLayer) for module in model.base.modules())

    def test_those_that_the_family_leaves_out_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        base = make_model(FAMILY)
        monkeypatch.setattr(type(PaveModel.from_base(base).family), "lora_without", ("gate_proj",))
        model = PaveModel.from_base(base)
        with pytest.raises(InputError, match="no linear layer that may get one is named 'gate_proj'"):
            model.add_patch("audio", None, LoraSpec(targets=("gate_proj", "q_proj")))
        model.add_patch("audio", None, LoraSpec(r=2))
        wrapped = {name for name, module in base.named_modules() if isinstance(module, LoraLayer)}
        assert wrapped == set(model.lora.targets) and not any("gate_proj" in name for name in wrapped)

    def test_all_that_are_named_get_one(self) -> None:
        model = PaveModel.from_base(make_model(FAMILY))
        model.add_patch("audio", None, LoraSpec(r=2, targets=("q_proj", "down_proj")))
        wrapped = {name for name, module in model.base.named_modules() if isinstance(module, LoraLayer)}
        assert {name.rsplit(".", 1)[-1] for name in wrapped} == {"q_proj", "down_proj"} and len(wrapped) == 4


class TestWithoutTheLast:
    def test_the_base_has_its_own_layers_back(self) -> None:
        base = make_model(FAMILY)
        layers, batch = dict(base.named_modules()), make_batch(FAMILY)
        plain = logits(base, batch.inputs)
        model = patched(base)
        model.add_patch("manner", None, LoraSpec(r=2, targets=("q_proj",)))
        model.remove_patch("audio")
        assert any(isinstance(module, LoraLayer) for module in base.modules())
        model.remove_patch("manner")
        assert dict(base.named_modules()) == layers and not hasattr(base, "peft_config")
        assert torch.equal(logits(model, batch.inputs), plain)

    def test_it_takes_others(self) -> None:
        batch = make_batch(FAMILY)
        wanted = logits(patched(make_model(FAMILY)), batch.inputs, **batch.extras)
        first = patched(make_model(FAMILY))
        first.remove_patch("audio")
        assert torch.equal(logits(patched(first.base), batch.inputs, **batch.extras), wanted)
        second = patched(make_model(FAMILY))
        second.remove_patch("audio")
        second.add_patch("audio", patch_config(), LoraSpec(r=4))
        randomize(second, "audio")
        assert torch.equal(logits(second, batch.inputs, **batch.extras), wanted)

    def test_a_base_in_use_is_refused(self) -> None:
        first, batch = patched(make_model(FAMILY)), make_batch(FAMILY)
        wanted = logits(first, batch.inputs, **batch.extras)
        second = PaveModel.from_base(first.base)
        with pytest.raises(InputError, match="holds the LoRA of another model already"):
            second.add_patch("manner", None, LoraSpec(r=2))
        assert not second.specs
        assert torch.equal(logits(first, batch.inputs, **batch.extras), wanted)


@pytest.mark.parametrize("others", [[], ["first"]], ids=["the only one", "beside another"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, KeyboardInterrupt])
def test_one_that_fails_to_come_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], others: list[str]
) -> None:
    model, batch = PaveModel.from_base(make_model(FAMILY)), make_batch(FAMILY)
    for name in others:
        model.add_patch(name, None, LoraSpec(r=2, targets=("q_proj",)))
        randomize(model, name)
    plain = logits(model, batch.inputs)
    begun = []
    reset = LoraLayer.reset_lora_parameters

    def fail(layer: Any, *arguments: Any, **options: Any) -> None:
        begun.append(layer)
        if len(begun) == 3:
            raise error
        reset(layer, *arguments, **options)

    with monkeypatch.context() as patching, pytest.raises(error):
        patching.setattr(LoraLayer, "reset_lora_parameters", fail)
        model.add_patch("late", patch_config(), LoraSpec(r=2))
    assert len(begun) == 3
    assert list(model.specs) == list(model.lora.specs) == others and not model.patches
    assert not any(".late." in name for name, _ in model.base.named_parameters())
    assert torch.equal(logits(model, batch.inputs), plain)
    model.add_patch("late", patch_config(), LoraSpec(r=2))
    assert model.lora.parameters("late")
