"""A base loads in 8 or 4 bits through ``quantization_config``; patches and LoRAs stay as wide as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pave import InputError, PaveModel
from tests.batches import GREEDY, logits
from tests.composed import EVERY_SET, channel_batch, composed
from tests.tiny import FAMILIES, TEXT, save_base

pytest.importorskip("bitsandbytes", reason="bitsandbytes, which quantises a base while it loads, is not installed")
PATCHES = EVERY_SET[1:4]


@pytest.fixture(params=[8, 4])
def bits(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Bases; the language model of the first family has widths that 4-bit kernels for a CPU can pack."""

    def save(family: str) -> Path:
        if family == FAMILIES[0]:
            widths = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
            for name, width in widths.items():
                monkeypatch.setitem(TEXT, name, width)
        return save_base(family, tmp_path / "base")

    return save


def quantised(base: Path, bits: int) -> PaveModel:
    from transformers import BitsAndBytesConfig

    # Without a threshold every row is scaled by itself, so that a row does not depend on its batch.
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        llm_int8_threshold=0.0,
        llm_int8_skip_modules=["model.vision_tower", "model.multi_modal_projector", "model.visual", "lm_head"],
    )
    base = PaveModel.from_base(base, quantization_config=config, dtype=torch.float32).base
    assert any(not weight.is_floating_point() for weight in base.parameters())
    return composed(base.config.model_type, base=base)


@pytest.mark.parametrize(("family", "bits"), [(FAMILIES[0], 8), (FAMILIES[0], 4), (FAMILIES[1], 8)])
def test_patches_act_on_it(family: str, bits: int, folder: Callable[[str], Path]) -> None:
    model, batch = quantised(folder(family), bits), channel_batch(family, 3)
    mixed = logits(model, batch.inputs, **batch.extras, patches=PATCHES)
    first = int(batch.inputs["attention_mask"][0].sum())
    off = logits(model, batch.inputs, **batch.extras, patches=[])
    with model.base_only():
        assert torch.equal(logits(model, batch.inputs, **batch.extras), off)
    torch.testing.assert_close(mixed[:first], off[:first], atol=1e-4, rtol=1e-4)
    assert (mixed[first:] - off[first:]).abs().max() > 1e-2
    whole = logits(model, batch.inputs, **batch.extras, patches=PATCHES[2])
    torch.testing.assert_close(mixed[-3:], whole[-3:], atol=1e-3, rtol=1e-3)
    assert model.generate(**batch.inputs, **batch.extras, patches=PATCHES, **GREEDY).shape[0] == 3


def test_trains_and_saves(bits: int, folder: Callable[[str], Path], tmp_path: Path) -> None:
    family = FAMILIES[0]
    base = folder(family)
    model, batch = quantised(base, bits).train(), channel_batch(family, 2)
    model(**batch.inputs, **batch.extras, labels=batch.inputs["input_ids"]).loss.backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert all(weight.grad is not None and weight.dtype == torch.float32 for weight in trained)
    assert len(trained) == sum(
        len(list(patch.parameters())) + len(model.lora.parameters(name)) for name, patch in model.patches.items()
    )
    model.save_patch("audio", tmp_path / "audio")
    PaveModel.from_pretrained(tmp_path / "audio", base=base)


def test_merging_is_refused(bits: int, folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights are quantised, offloaded or sharded"):
        quantised(folder(FAMILIES[0]), bits).export_merged(tmp_path / "out")
