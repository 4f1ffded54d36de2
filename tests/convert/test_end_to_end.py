"""From the reference's own files to its own numbers: base, patches, LoRA, in the layout they were trained in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlavaOnevisionForConditionalGeneration

from pave import PaveModel
from pave.convert.base import convert_base
from pave.convert.reference import convert_reference
from pave.data.features import Turns
from pave.data.processor import PaveProcessor
from pave.media.video import Frames
from tests.batches import patch_config
from tests.convert.golden import BASE, GOLDEN, SIDES, batch, checkpoint, golden_inputs, meta, outputs, signals

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")

FRAMES = 4
TIMES = [torch.arange(FRAMES)] * 2


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden") / "base"
    tower = meta()["vision_siglip"]
    convert_base(BASE, out, vision_heads=tower["num_attention_heads"], image_size=tower["image_size"])
    return out


@pytest.fixture(scope="module")
def patches(base: Path) -> dict[str, Path]:
    folders = {side: base.parent / side for side in SIDES}
    for side, folder in folders.items():
        convert_reference(checkpoint(side), str(base), folder)
    return folders


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(base: Path, patches: dict[str, Path], side: str) -> PaveModel:
    return PaveModel.from_pretrained(patches[side], base, attn_implementation="eager")


def extras(model: PaveModel, side: str) -> dict[str, Any]:
    (channel,) = model.specs
    return {"side": {channel: signals(side)}, "video_times_sec": TIMES}


@contextmanager
def spliced(model: PaveModel) -> Iterator[dict[str, Tensor]]:
    """Catch what the language model is given."""
    seen: dict[str, Tensor] = {}
    handle = model.base.model.language_model.register_forward_pre_hook(
        lambda _, __, given: seen.update(given), with_kwargs=True
    )
    try:
        yield seen
    finally:
        handle.remove()


def check(model: PaveModel, inputs: dict[str, Tensor], wanted: dict[str, Tensor], atol: float, **given: Any) -> Tensor:
    """Compare inputs, spliced embeddings and logits with stored ones; return the logits."""
    assert torch.equal(inputs["attention_mask"], wanted["attention_mask"])
    assert torch.equal(inputs["labels"], wanted["labels"])
    with torch.no_grad(), spliced(model) as seen:
        out = model(**inputs, **given)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(seen["inputs_embeds"][real], wanted["inputs_embeds"][real], atol=5e-5, rtol=0)
    words = wanted["logits_at_pos"].shape[-1]
    found = torch.stack([logits[places] for logits, places in zip(out.logits, wanted["pos"], strict=True)])
    torch.testing.assert_close(found[..., :words], wanted["logits_at_pos"], atol=atol, rtol=0)
    torch.testing.assert_close(loss(out.logits[..., :words], inputs["labels"]), wanted["loss"][0], atol=atol, rtol=0)
    return out.logits


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def test_base_in_its_own_layout(base: Path) -> None:
    model = PaveModel.from_base(base, attn_implementation="eager")
    logits = check(model, batch("native", model.family.placeholder_id), outputs("base", "one_token."), 5e-5)
    assert logits.shape[-1] == meta()["base_vocab_size"]


def test_video_tokens_before_and_after_the_projector(base: Path) -> None:
    model = PaveModel.from_base(base, attn_implementation="eager")
    videos = model.family.encode(model.base, batch("native", 0), None, vision=True)
    wanted = outputs("base")
    tokens, vision = (torch.stack([getattr(video, name) for video in videos]) for name in ("tokens", "vision"))
    torch.testing.assert_close(tokens, wanted["pooled_after_projector"], atol=5e-5, rtol=0)
    torch.testing.assert_close(vision, wanted["pooled_before_projector"], atol=5e-5, rtol=0)


def test_base_in_the_grid_layout(base: Path) -> None:
    model = PaveModel.from_base(base, attn_implementation="eager")
    model.add_patch("fresh", patch_config(layout="grid"))
    inputs, wanted = batch("grid", model.family.placeholder_id), outputs("base", "grid.")
    check(model, inputs, wanted, 5e-5)
    with model.base_only():
        check(model, inputs, wanted, 5e-5)


class TestPatch:
    def test_logits(self, model: PaveModel, side: str) -> None:
        assert model.layout == "grid"
        check(model, batch("grid", model.family.placeholder_id), outputs(side), 5e-4, **extras(model, side))

    def test_processor_makes_the_same_batch(self, model: PaveModel) -> None:
        """The golden tokens through the processor: placeholders laid out, labels and padding as the reference's."""
        wanted, stored = batch("grid", model.family.placeholder_id), golden_inputs()
        processor = PaveProcessor.from_model(model)
        frames = Frames(np.zeros((FRAMES, 8, 8, 3), dtype=np.uint8), np.arange(FRAMES))
        samples = []
        for row in range(2):
            real = stored["attention_mask"][row].bool()
            ids, labels = stored["input_ids"][row][real], stored["labels"][row][real]
            ids = torch.where(ids == meta()["image_placeholder"], model.family.placeholder_id, ids)
            video = processor.prepare_video(frames)
            pixels = {model.family.pixels: stored["pixel_values_videos"][row : row + 1]}
            samples.append(processor.features(Turns(ids, labels != -100), replace(video, inputs=pixels)))
        made = processor.collator("right")(samples)
        assert all(torch.equal(made[name], values) for name, values in wanted.items())

    def test_residuals(self, model: PaveModel, side: str) -> None:
        """Of the stored video tokens: a vision tower's own rounding is another on another processor."""
        (patch,) = model.patches.values()
        with torch.no_grad():
            residuals = patch(list(outputs("base")["pooled_before_projector"]), signals(side), TIMES)
        found = torch.stack(residuals).flatten(1, 2)
        # Values of 2 and more differ by 1e-5 with the number of threads already.
        torch.testing.assert_close(found, outputs(side)["patch_out"], atol=1e-5, rtol=1e-5)

    def test_absent_channel_leaves_the_base(self, model: PaveModel, side: str) -> None:
        inputs, wanted = batch("grid", model.family.placeholder_id), outputs("base", "grid.")
        check(model, inputs, wanted, 5e-5)
        with model.base_only():
            check(model, inputs, wanted, 5e-5, **extras(model, side))

    def test_generates_what_its_logits_say(self, model: PaveModel, side: str) -> None:
        inputs = batch("grid", model.family.placeholder_id, left=True)
        del inputs["labels"]
        given, width, words = extras(model, side), inputs["input_ids"].shape[1], meta()["len_tokenizer"]
        settings = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
        ids = model.generate(**inputs, **given, **settings)
        longer = {**inputs, "input_ids": ids[:, :-1], "attention_mask": torch.ones_like(ids[:, :-1])}
        longer["attention_mask"][:, :width] = inputs["attention_mask"]
        with torch.no_grad():
            logits = model(**longer, **given).logits[:, width - 1 :, :words]
        logits[..., model.base.generation_config.eos_token_id] = -torch.inf
        assert torch.equal(ids[:, width:], logits.argmax(dim=-1))

    def test_a_cut_vocabulary_gives_the_same(self, patches: dict[str, Path], side: str, tmp_path: Path) -> None:
        tower = meta()["vision_siglip"]
        convert_base(BASE, tmp_path / "cut", None, tower["num_attention_heads"], tower["image_size"], True)
        model = PaveModel.from_pretrained(patches[side], tmp_path / "cut", attn_implementation="eager")
        inputs = batch("grid", model.family.placeholder_id)
        logits = check(model, inputs, outputs(side), 5e-4, **extras(model, side))
        assert logits.shape[-1] == meta()["len_tokenizer"] + 1

    def test_plain_peft_gives_the_same(
        self, model: PaveModel, base: Path, patches: dict[str, Path], side: str
    ) -> None:
        inputs = batch("grid", model.family.placeholder_id)
        with torch.no_grad(), spliced(model) as seen:
            ours = model(**inputs, **extras(model, side)).logits
        stock = LlavaOnevisionForConditionalGeneration.from_pretrained(base, attn_implementation="eager")
        plain = PeftModel.from_pretrained(stock, patches[side] / "lora").eval()
        with torch.no_grad():
            theirs = plain(inputs_embeds=seen["inputs_embeds"], attention_mask=inputs["attention_mask"]).logits
        real = inputs["attention_mask"].bool()
        torch.testing.assert_close(theirs[real], ours[real], atol=1e-5, rtol=0)

    def test_lora_is_the_stored_one(self, patches: dict[str, Path], side: str) -> None:
        """Bit for bit, in the float type it was stored in, and never on the vocabulary."""
        found = load_file(patches[side] / "lora" / "adapter_model.safetensors")
        path = checkpoint(side) / meta()["sides"][side]["adapter_file"]
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        wanted = {
            name.replace(".model.layers.", ".model.language_model.layers."): value for name, value in stored.items()
        }
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())
        assert not any("embed_tokens" in name or "lm_head" in name for name in found)
