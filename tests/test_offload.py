"""A base of which parts wait on a disk until they are used: patches, LoRAs, mixed batches and training go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pave import InputError, PaveModel
from tests.batches import GREEDY, logits
from tests.composed import EVERY_SET, channel_batch, composed
from tests.tiny import FAMILIES, base_folder

PATCHES = EVERY_SET[1:4]


def offloaded(family: str, folder: Path) -> PaveModel:
    """As ``device_map="auto"`` does it where memory ends."""
    room = (base_folder(family) / "model.safetensors").stat().st_size * 9 // 10
    options = {"device_map": "auto", "max_memory": {"cpu": room}, "offload_folder": str(folder)}
    base = PaveModel.from_base(base_folder(family), **options).base
    assert {"cpu", "disk"} == set(map(str, base.hf_device_map.values()))
    return composed(family, base=base)


@pytest.mark.parametrize("family", FAMILIES)
def test_says_what_a_base_in_memory_says(family: str, tmp_path: Path) -> None:
    model, batch = offloaded(family, tmp_path), channel_batch(family, 3)
    whole = composed(family, base=PaveModel.from_base(base_folder(family)).base)
    assert model.device == torch.device("cpu")
    for patches in (None, [], PATCHES):
        found, wanted = (logits(one, batch.inputs, **batch.extras, patches=patches) for one in (model, whole))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    found, wanted = (one.generate(**batch.inputs, **batch.extras, patches=PATCHES, **GREEDY) for one in (model, whole))
    assert torch.equal(found, wanted)


def test_a_weight_of_the_inner_model_itself_may_be_offloaded(tmp_path: Path) -> None:
    """Its features are made by its methods, without the call of it that would bring the weight in."""
    family = FAMILIES[0]
    options = {"device_map": {"model": "disk", "lm_head": "cpu"}, "offload_folder": str(tmp_path)}
    base = PaveModel.from_base(base_folder(family), **options).base
    assert base.base_model.image_newline.is_meta
    model, batch = composed(family, base=base), channel_batch(family, 3)
    whole = composed(family, base=PaveModel.from_base(base_folder(family)).base)
    found, wanted = (logits(one, batch.inputs, **batch.extras, patches=PATCHES) for one in (model, whole))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_trains_and_saves(tmp_path: Path) -> None:
    family = FAMILIES[0]
    model, batch = offloaded(family, tmp_path / "offload").train(), channel_batch(family, 2)
    model(**batch.inputs, **batch.extras, labels=batch.inputs["input_ids"]).loss.backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert trained and all(weight.grad is not None and weight.device.type == "cpu" for weight in trained)
    model.save_patch("audio", tmp_path / "audio")
    again = PaveModel.from_pretrained(tmp_path / "audio", base=base_folder(family))
    assert again.active_patches == {"audio": 1.0}


def test_merging_is_refused(tmp_path: Path) -> None:
    model = offloaded(FAMILIES[0], tmp_path / "offload")
    with pytest.raises(InputError, match="weights are quantised, offloaded or sharded"):
        model.export_merged(tmp_path / "out")
    with pytest.raises(InputError, match="weights are quantised, offloaded or sharded"), model.lora.merged(["audio"]):
        pass
