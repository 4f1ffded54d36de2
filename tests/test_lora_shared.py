"""A LoRA that two patches share stands on the model once, acts once, and leaves with the last of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pave import InputError, LoraSpec, PaveModel
from tests.batches import Batch, logits, make_batch, patch_config, randomize, side_channel
from tests.tiny import make_model

FAMILY = "llava_onevision"
SHARED = LoraSpec(r=4, shared="5eed")


@pytest.fixture
def model() -> PaveModel:
    model = PaveModel.from_base(make_model(FAMILY))
    model.add_patch("audio", patch_config(), SHARED)
    model.add_patch("frames", patch_config(channel="frames"), SHARED)
    randomize(model, "frames")
    randomize(model, "audio")
    return model


@pytest.fixture
def batch() -> Batch:
    batch = make_batch(FAMILY)
    batch.side["frames"] = [side_channel(seed=8), side_channel(seed=9)]
    return batch


def without_residuals(model: PaveModel) -> None:
    with torch.no_grad():
        for patch in model.patches.values():
            patch.norm.weight.zero_()
            patch.norm.bias.zero_()


def test_acts_once_where_both_patches_act(model: PaveModel, batch: Batch) -> None:
    without_residuals(model)
    base = logits(model, batch.inputs, **batch.extras, patches=[])
    one = logits(model, batch.inputs, **batch.extras, patches=["audio"])
    assert not torch.equal(one, base)
    assert torch.equal(logits(model, batch.inputs, **batch.extras), one)
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=[["audio"], ["audio", "frames"]]), one)
    mixed = logits(model, batch.inputs, **batch.extras, patches=[["audio", "frames"], []])
    row = int(batch.inputs["attention_mask"][0].sum())
    torch.testing.assert_close(mixed[:row], one[:row])
    torch.testing.assert_close(mixed[row:], base[row:])


def test_stays_until_the_last_patch_is_removed(model: PaveModel, batch: Batch) -> None:
    without_residuals(model)
    wanted = logits(model, batch.inputs, **batch.extras)
    model.remove_patch("audio")
    del batch.side["audio"]
    assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)
    assert model.lora.parameters("frames")
    model.remove_patch("frames")
    assert not any(".lora_A." in name for name, _ in model.named_parameters())


def test_is_trained_with_either_patch(model: PaveModel) -> None:
    model.set_trainable(["frames"])
    assert all(weight.requires_grad for weight in model.lora.parameters("audio"))
    assert not any(weight.requires_grad for weight in model.patches["audio"].parameters())
    model.set_trainable([])
    assert not any(weight.requires_grad for weight in model.parameters())
    model.set_trainable(["audio", "frames"])
    model.remove_patch("audio")
    assert all(weight.requires_grad for weight in model.lora.parameters("frames"))


def test_each_folder_holds_it_and_both_load_to_one(model: PaveModel, batch: Batch, tmp_path: Path) -> None:
    wanted = logits(model, batch.inputs, **batch.extras)
    for name in ("audio", "frames"):
        model.save_patch(name, tmp_path / name)
    again = PaveModel.from_pretrained(tmp_path / "frames", base=make_model(FAMILY))
    again.load_patch(tmp_path / "audio")
    assert torch.equal(logits(again, batch.inputs, **batch.extras), wanted)
    for name in ("audio", "frames"):
        again.save_patch(name, tmp_path / "again" / name)
        lora = "lora/adapter_model.safetensors"
        assert (tmp_path / "again" / name / lora).read_bytes() == (tmp_path / name / lora).read_bytes()


def test_another_state_of_it_is_refused(model: PaveModel, tmp_path: Path) -> None:
    for name in ("audio", "frames"):
        model.save_patch(name, tmp_path / name)
    file = tmp_path / "audio" / "lora" / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors[next(iter(tensors))] += 1
    save_file(tensors, file)
    again = PaveModel.from_pretrained(tmp_path / "frames", base=make_model(FAMILY))
    with pytest.raises(InputError, match="differs from the LoRA that patch 'frames' shares"):
        again.load_patch(tmp_path / "audio")
    assert list(again.specs) == ["frames"] and again.lora.parameters("frames")


def test_settings_must_agree(model: PaveModel) -> None:
    with pytest.raises(InputError, match="shares the LoRA '5eed' with other settings"):
        model.add_patch("depth", patch_config(channel="depth"), LoraSpec(r=2, shared="5eed"))
    assert "depth" not in model.patches
    with pytest.raises(InputError, match=r"shared is 'a\.b'; give letters and digits"):
        LoraSpec(shared="a.b")
