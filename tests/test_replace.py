"""A patch takes the place of another on a running model, or nothing happens at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pave import InputError, LoraSpec, PaveModel
from pave.sharding import fill
from tests.batches import logits, patch_config, randomize
from tests.composed import LORAS, channel_batch, composed, wake
from tests.tiny import FAMILIES, make_model

FAMILY = FAMILIES[0]


def saved(folder: Path, lora: LoraSpec | None = LORAS["audio"], **changes: object) -> Path:
    """Another patch ``audio``, with weights of its own."""
    model = PaveModel.from_base(make_model(FAMILY))
    model.add_patch("audio", patch_config(**changes), lora)
    randomize(model, "audio", seed=21)
    model.save_patch("audio", folder)
    return folder


def alone(folder: Path, batch: object) -> torch.Tensor:
    model = PaveModel.from_pretrained(folder, base=make_model(FAMILY))
    return logits(model, batch.inputs, side={"audio": batch.side["audio"]}, video_times_sec=batch.times)


def test_weights_go_into_the_modules_that_stand(tmp_path: Path) -> None:
    model, batch = composed(FAMILY), channel_batch(FAMILY, 2)
    model.set_patches({"audio": 1.0, "depth": 0.5})
    model.set_trainable(["audio"])
    before = logits(model, batch.inputs, **batch.extras)
    depth = logits(model, batch.inputs, **batch.extras, patches=["depth"])
    weights = [id(weight) for weight in model.parameters()]
    model.replace_patch("audio", saved(tmp_path / "new"))
    assert [id(weight) for weight in model.parameters()] == weights
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=["audio"]), alone(tmp_path / "new", batch))
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=["depth"]), depth)
    assert not torch.equal(logits(model, batch.inputs, **batch.extras), before)
    assert model.active_patches == {"audio": 1.0, "depth": 0.5}
    assert all(weight.requires_grad for weight in model.lora.parameters("audio"))
    assert not any(weight.requires_grad for weight in model.lora.parameters("depth"))


@pytest.mark.parametrize(
    ("lora", "changes"),
    [(LoraSpec(r=6, targets=("q_proj",)), {}), (None, {}), (LORAS["audio"], {"layers": 1, "query": "projected"})],
    ids=["another LoRA", "no LoRA", "another module"],
)
def test_another_size_takes_its_place(tmp_path: Path, lora: LoraSpec | None, changes: dict[str, object]) -> None:
    model, batch = composed(FAMILY), channel_batch(FAMILY, 2)
    model.set_patches({"audio": 1.0})
    model.set_trainable([])
    depth = logits(model, batch.inputs, **batch.extras, patches=["depth"])
    model.replace_patch("audio", saved(tmp_path / "new", lora, **changes))
    assert torch.equal(logits(model, batch.inputs, **batch.extras), alone(tmp_path / "new", batch))
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=["depth"]), depth)
    assert model.active_patches == {"audio": 1.0}
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("lora", [LORAS["audio"], LoraSpec(r=6)], ids=["same size", "another size"])
def test_a_damaged_one_leaves_the_model_as_it_was(tmp_path: Path, lora: LoraSpec) -> None:
    model, batch = composed(FAMILY), channel_batch(FAMILY, 2)
    model.set_patches(["audio", "depth"])
    wanted = logits(model, batch.inputs, **batch.extras)
    file = saved(tmp_path / "new", lora) / "lora" / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors.pop(sorted(tensors)[-1])
    save_file(tensors, file)
    with pytest.raises(InputError, match="is missing"):
        model.replace_patch("audio", tmp_path / "new")
    assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)
    assert model.active_patches == {"audio": 1.0, "depth": 1.0}
    assert all(weight.requires_grad for name in model.specs for weight in model.lora.parameters(name))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("lora", [LORAS["audio"], LoraSpec(r=6)], ids=["same size", "another size"])
def test_what_breaks_off_midway_leaves_the_model_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: LoraSpec, error: type[BaseException]
) -> None:
    model, batch = composed(FAMILY, ["audio", "depth"]), channel_batch(FAMILY, 2)
    del batch.side["views"]
    model.set_patches(["audio", "depth"])
    model.set_trainable(["audio"])
    wanted = logits(model, batch.inputs, **batch.extras)
    saved(tmp_path / "new", lora)
    break_off(monkeypatch, error)
    with pytest.raises(error):
        model.replace_patch("audio", tmp_path / "new")
    assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)
    assert model.active_patches == {"audio": 1.0, "depth": 1.0}
    assert all(weight.requires_grad for weight in model.lora.parameters("audio"))
    assert not any(weight.requires_grad for weight in model.lora.parameters("depth"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, KeyboardInterrupt])
def test_a_load_that_breaks_off_midway_leaves_no_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    model, batch = composed(FAMILY, ["depth"]), channel_batch(FAMILY, 2)
    given = {"side": {"depth": batch.side["depth"]}, "video_times_sec": batch.times}
    wanted = logits(model, batch.inputs, **given)
    saved(tmp_path / "new")
    break_off(monkeypatch, error)
    with pytest.raises(error):
        model.load_patch(tmp_path / "new")
    assert list(model.specs) == list(model.patches) == list(model.lora.specs) == ["depth"]
    assert torch.equal(logits(model, batch.inputs, **given), wanted)
    assert model.load_patch(tmp_path / "new") == "audio"


def break_off(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Let the third weight of a patch that is written raise an error."""
    written = []

    def write(weight: torch.Tensor, value: torch.Tensor) -> None:
        written.append(weight)
        if len(written) == 3:
            raise error
        fill(weight, value)

    monkeypatch.setattr("pave.attach.fill", write)


def test_another_channel_is_refused(tmp_path: Path) -> None:
    model = composed(FAMILY, ["depth"])
    with pytest.raises(InputError, match="reads channel 'audio', but patch 'depth' reads 'depth'"):
        model.replace_patch("depth", saved(tmp_path / "new"))
    with pytest.raises(InputError, match="no patch 'audio' on this model"):
        model.replace_patch("audio", tmp_path / "new")


def test_nothing_is_replaced_while_merged(tmp_path: Path) -> None:
    model = composed(FAMILY, ["audio"])
    saved(tmp_path / "new")
    with model.lora.merged(["audio"]), pytest.raises(InputError, match="audio are merged into the base; leave"):
        model.replace_patch("audio", tmp_path / "new")


def test_a_lora_that_another_patch_shares_stays(tmp_path: Path) -> None:
    shared = LoraSpec(r=4, shared="5eed")
    model = PaveModel.from_base(make_model(FAMILY))
    for name in ("audio", "depth"):
        model.add_patch(name, patch_config(channel=name), shared)
        wake(model, name)
    batch = channel_batch(FAMILY, 2)
    del batch.side["views"]
    wanted = logits(model, batch.inputs, **batch.extras)
    with pytest.raises(InputError, match="differs from the LoRA that patch 'depth' shares"):
        model.replace_patch("audio", saved(tmp_path / "new", shared))
    assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)


def test_the_facts_come_along(tmp_path: Path) -> None:
    model = composed(FAMILY, ["audio"])
    other = composed(FAMILY, ["audio"])
    other.save_patch("audio", tmp_path / "new", {"steps": 7})
    model.replace_patch("audio", tmp_path / "new")
    model.save_patch("audio", tmp_path / "again", model.specs["audio"].training)
    assert json.loads((tmp_path / "again" / "patch_config.json").read_text())["training"] == {"steps": 7}
