"""LoRAs merged into the base give the same answers, and leave the base as it was, bit for bit."""

from __future__ import annotations

import pytest
import torch

from pave import InputError
from tests.batches import logits, make_batch, patched
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
