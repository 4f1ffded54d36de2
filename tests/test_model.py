"""What a patch changes, and above all what it does not: the shared behaviour of every base."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from pave import InputError, LoraSpec, PatchConfig, PaveModel, SideChannel
from tests.batches import (
    BEAMS,
    GREEDY,
    SIDE_DIM,
    logits,
    make_batch,
    patch_config,
    patched,
    randomize,
    side_channel,
    take_row,
)
from tests.tiny import FAMILIES, make_model


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(family: str) -> Iterator[PreTrainedModel]:
    yield make_model(family)


def stock(base: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """What the base says alone: logits, greedy ids, beam ids."""
    return [logits(base, inputs), base.generate(**inputs, **GREEDY), base.generate(**inputs, **BEAMS)]


def said(model: PaveModel, inputs: dict[str, torch.Tensor], **extras: object) -> list[torch.Tensor]:
    return [
        logits(model, inputs, **extras),
        model.generate(**inputs, **extras, **GREEDY),
        model.generate(**inputs, **extras, **BEAMS),
    ]


def assert_equal(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    assert [torch.equal(one, other) for one, other in zip(found, wanted, strict=True)] == [True, True, True]


class TestIsTheBase:
    """Bit for bit, in forward, greedy and beam search."""

    def test_untrained(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        assert_equal(said(patched(base, trained=False), batch.inputs, **batch.extras), wanted)

    def test_channel_absent(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        model = patched(base)
        absent = {"audio": [None, None]}
        assert_equal(said(model, batch.inputs, side=absent, video_times_sec=batch.times), wanted)
        assert_equal(said(model, batch.inputs), wanted)

    def test_channel_empty(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        empty = SideChannel(torch.zeros(0, SIDE_DIM), torch.zeros(0))
        side = {"audio": [empty, empty]}
        assert_equal(said(patched(base), batch.inputs, side=side, video_times_sec=batch.times), wanted)

    def test_base_only(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        model = patched(base)
        with model.base_only():
            assert_equal(said(model, batch.inputs, **batch.extras), wanted)
        assert not torch.equal(logits(model, batch.inputs, **batch.extras), wanted[0])

    def test_no_patch_chosen(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        assert_equal(said(patched(base), batch.inputs, **batch.extras, patches=[]), wanted)

    def test_patch_removed(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = stock(base, batch.inputs)
        model = patched(base)
        model.remove_patch("audio")
        assert_equal(said(model, batch.inputs), wanted)


def test_a_patch_takes_the_place_of_a_removed_one(family: str, base: PreTrainedModel, tmp_path: Path) -> None:
    """Also in a batch of which each sample has other patches, which peft handles by names of its own."""
    batch = make_batch(family)
    patched(base).save_patch("audio", tmp_path / "patch")
    model = PaveModel.from_base(make_model(family))
    model.load_patch(tmp_path / "patch", "first")
    whole, mixed = (
        logits(model, batch.inputs, **batch.extras, patches=patches) for patches in (None, [["first"], []])
    )
    model.remove_patch("first")
    model.load_patch(tmp_path / "patch", "second")
    assert torch.equal(logits(model, batch.inputs, **batch.extras), whole)
    assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=[["second"], []]), mixed)


class TestEachSample:
    """A batch is only a faster way of asking one by one."""

    def test_batch_equals_one_by_one(self, family: str, base: PreTrainedModel) -> None:
        model, batch = patched(base), make_batch(family, rows=3)
        together = logits(model, batch.inputs, **batch.extras)
        alone = []
        for row in range(3):
            single = take_row(family, batch, row)
            alone.append(logits(model, single.inputs, **single.extras))
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_padding_side_does_not_matter(self, family: str, base: PreTrainedModel, side: str) -> None:
        model = patched(base)
        batch, single = make_batch(family, side=side), take_row(family, make_batch(family), 0)
        first = int(batch.inputs["attention_mask"][0].sum())
        found = logits(model, batch.inputs, **batch.extras)[:first]
        torch.testing.assert_close(found, logits(model, single.inputs, **single.extras), atol=1e-4, rtol=1e-4)

    def test_patches_are_chosen_sample_by_sample(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        off, model = stock(base, batch.inputs), patched(base)
        on = said(model, batch.inputs, **batch.extras)
        mixed = said(model, batch.inputs, **batch.extras, patches=[["audio"], []])
        first = int(batch.inputs["attention_mask"][0].sum())
        torch.testing.assert_close(mixed[0][:first], on[0][:first], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mixed[0][first:], off[0][first:], atol=1e-5, rtol=1e-5)
        for ids, ids_on, ids_off in zip(mixed[1:], on[1:], off[1:], strict=True):
            assert torch.equal(ids, torch.stack([ids_on[0], ids_off[1]]))

    def test_a_sample_without_the_channel_is_the_base(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted = base.generate(**batch.inputs, **GREEDY)
        side = {"audio": [batch.side["audio"][0], None]}
        ids = patched(base).generate(**batch.inputs, side=side, video_times_sec=batch.times, **GREEDY)
        assert torch.equal(ids[1], wanted[1])

    def test_several_loras_on_one_sample_are_summed(self, family: str, base: PreTrainedModel) -> None:
        model, batch = patched(base), make_batch(family)
        model.add_patch("lora_only", None, LoraSpec(r=2))
        randomize(model, "lora_only", seed=5)
        extras = batch.extras
        both = logits(model, batch.inputs, **extras)
        one = logits(model, batch.inputs, **extras, patches=["lora_only"])
        mixed = logits(model, batch.inputs, **extras, patches=[["lora_only", "audio"], ["lora_only"]])
        first = int(batch.inputs["attention_mask"][0].sum())
        torch.testing.assert_close(mixed[:first], both[:first], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(mixed[first:], one[first:], atol=1e-3, rtol=1e-3)
        assert set(model.lora.specs) == {"audio", "lora_only"}

    def test_several_return_sequences(self, family: str, base: PreTrainedModel) -> None:
        model, batch = patched(base), make_batch(family)
        torch.manual_seed(0)
        options = {**GREEDY, "do_sample": True, "num_return_sequences": 3}
        ids = model.generate(**batch.inputs, **batch.extras, patches=[["audio"], []], **options)
        assert ids.shape[0] == 6

    def test_encoded_videos_stand_in_for_pixels(self, family: str, base: PreTrainedModel) -> None:
        batch = make_batch(family)
        wanted, model = logits(base, batch.inputs), patched(base)
        videos = model.encode_videos(batch.inputs, batch.times)
        rest = {name: value for name, value in batch.inputs.items() if name != "pixel_values_videos"}
        found = logits(model, rest, side=batch.side, videos=videos)
        assert torch.equal(found, logits(model, batch.inputs, **batch.extras))
        with model.base_only():
            assert torch.equal(logits(model, rest, videos=videos), wanted)


class TestTraining:
    def test_only_patch_and_lora_get_gradients_and_the_base_keeps_its_bytes(
        self, family: str, base: PreTrainedModel
    ) -> None:
        model, batch = patched(base, trained=False), make_batch(family, side="right")
        before = digest(base)
        optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.05)
        model.train()
        losses = []
        for _ in range(8):
            loss = model(**batch.inputs, **batch.extras, labels=batch.inputs["input_ids"]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        assert digest(base) == before
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert trained and all(name.startswith("patches.") or ".lora_" in name for name in trained)

    def test_every_trained_weight_has_a_gradient_when_the_channel_is_absent(
        self, family: str, base: PreTrainedModel
    ) -> None:
        model, batch = patched(base), make_batch(family)
        model.train()
        loss = model(**batch.inputs, video_times_sec=batch.times, labels=batch.inputs["input_ids"]).loss
        loss.backward()
        missing = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
        assert missing == []
        assert all(not weight.grad.any() for weight in model.patches.parameters() if weight.grad is not None)

    def test_every_trained_weight_has_a_gradient_without_any_video(self, base: PreTrainedModel) -> None:
        model = patched(base).train()
        ids = torch.tensor([[7, 8, 9]])
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss.backward()
        missing = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
        assert missing == []

    def test_gradient_checkpointing_gives_the_same_gradients(self, family: str, base: PreTrainedModel) -> None:
        model, batch = patched(base, layers=1), make_batch(family)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        gradients = []
        for checkpointing in (False, True):
            if checkpointing:
                model.gradient_checkpointing_enable()
            model.train()
            model.zero_grad()
            model(**batch.inputs, **batch.extras, labels=batch.inputs["input_ids"]).loss.backward()
            gradients.append([weight.grad.clone() for weight in model.parameters() if weight.requires_grad])
        torch.testing.assert_close(gradients[0], gradients[1])

    def test_checkpointing_keeps_a_frozen_tower_out_of_the_backward_pass(
        self, family: str, base: PreTrainedModel
    ) -> None:
        model, batch = patched(base).train(), make_batch(family)
        model.add_patch("lora_only", None, LoraSpec(r=2))
        model.gradient_checkpointing_enable()
        tower = next(module for name, module in base.named_modules() if name.endswith(model.family.vision_tower))
        outputs: list[Any] = []
        tower.register_forward_hook(lambda module, arguments, output: outputs.append(output))
        model(**batch.inputs, labels=batch.inputs["input_ids"], patches=["lora_only"]).loss.backward()
        tensors = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
        assert tensors and not any(tensor.requires_grad for tensor in tensors)

    def test_set_trainable(self, base: PreTrainedModel) -> None:
        model = patched(base)
        model.add_patch("lora_only", None, LoraSpec(r=2))
        model.set_trainable(["lora_only"])
        with model.base_only():
            assert all(
                ".lora_only.weight" in name for name, weight in model.named_parameters() if weight.requires_grad
            )
        model.set_trainable([])
        assert not any(weight.requires_grad for weight in model.parameters())

    def test_samples_of_a_training_batch_share_their_patches(self, family: str, base: PreTrainedModel) -> None:
        model, batch = patched(base).train(), make_batch(family)
        with pytest.raises(InputError, match="train on one choice a batch"):
            model(**batch.inputs, **batch.extras, patches=[["audio"], []])


class TestFloatTypes:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_bases(self, family: str, base: PreTrainedModel, dtype: torch.dtype) -> None:
        base = base.to(dtype)
        batch = make_batch(family)
        batch.inputs["pixel_values_videos"] = batch.inputs["pixel_values_videos"].to(dtype)
        wanted = logits(base, batch.inputs)
        model = patched(base, trained=False)
        assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted)
        randomize(model, "audio")
        assert logits(model, batch.inputs, **batch.extras).dtype == dtype


@pytest.mark.parametrize("query", ["vision", "projected"])
def test_queries_before_and_after_the_projector(family: str, base: PreTrainedModel, query: str) -> None:
    batch = make_batch(family)
    wanted, model = logits(base, batch.inputs), patched(base, query=query)
    widths = {"vision": base.config.vision_config.hidden_size, "projected": 32}
    assert model.specs["audio"].patch is not None and model.specs["audio"].patch.query_dim == widths[query]
    assert not torch.equal(logits(model, batch.inputs, **batch.extras), wanted)


def test_grid_layout_puts_a_newline_after_every_row() -> None:
    base = make_model("llava_onevision")
    model, batch = patched(base, trained=False, layout="grid"), make_batch("llava_onevision", layout="grid")
    native = make_batch("llava_onevision")
    found = logits(model, batch.inputs, **batch.extras)
    core = base.model
    with torch.no_grad():
        videos = core.get_video_features(pixel_values_videos=batch.inputs["pixel_values_videos"]).pooler_output
        rows = videos[:, :-1].view(2, 3, 2, 2, 32)
        newline = core.image_newline.expand(2, 3, 2, 1, 32)
        embeddings = base.get_input_embeddings()(batch.inputs["input_ids"])
        embeddings[batch.inputs["input_ids"] == 199] = torch.cat([rows, newline], dim=3).reshape(-1, 32)
        wanted = base(inputs_embeds=embeddings, attention_mask=batch.inputs["attention_mask"]).logits
    assert torch.equal(found, wanted[batch.inputs["attention_mask"].bool()])
    with model.base_only():
        assert torch.equal(logits(model, batch.inputs), found)
    with pytest.raises(InputError, match="videos in layout 'grid' take"):
        model(**native.inputs, **native.extras)


def test_times_move_what_a_step_sees(family: str, base: PreTrainedModel) -> None:
    model, batch = patched(base), make_batch(family)
    moved = {"side": batch.side, "video_times_sec": [times + 1.0 for times in batch.times]}
    assert not torch.equal(logits(model, batch.inputs, **moved), logits(model, batch.inputs, **batch.extras))


def test_frames_merged_into_a_step_get_their_mean_time() -> None:
    model, batch = patched(make_model("qwen2_5_vl")), make_batch("qwen2_5_vl", rows=1)
    videos = model.encode_videos(batch.inputs, [[0.0, 1.0, 2.0, 5.0]])
    assert videos[0].times_sec.tolist() == [0.5, 3.5]
    odd = model.encode_videos(batch.inputs, [[0.0, 1.0, 2.0]])
    assert odd[0].times_sec.tolist() == [0.5, 2.0]


SIDE = side_channel()


class TestMistakes:
    """Each in one line, before anything is computed."""

    @pytest.fixture
    def base(self) -> PreTrainedModel:
        return make_model("llava_onevision")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"side": {"adio": [None, None]}},
                r"no patch reads channel 'adio'; those read: audio; did you mean 'audio'",
            ),
            ({"side": {"audio": [None]}}, r"side\['audio'\] has 1 entries, the batch 2 videos"),
            ({"video_times_sec": None}, "video_times_sec is missing"),
            ({"video_times_sec": [[0.5, 1.5, 2.5]]}, "video_times_sec has 1 entries, the batch 2 videos"),
            ({"video_times_sec": [[0.5, 1.5], [0.5, 1.5, 2.5]]}, r"video_times_sec\[0\]: times_sec has shape \(2,\)"),
            ({"video_times_sec": [[2.5, 1.5, 0.5], [0.5, 1.5, 2.5]]}, r"video_times_sec\[0\]: times_sec goes back"),
            ({"patches": ["audo"]}, "no patch 'audo' on this model; it has: audio; did you mean 'audio'"),
            ({"patches": [["audio"]]}, "patches has 1 entries for 2 samples"),
            ({"patches": "audio"}, "patches is the text 'audio'; give a list of names"),
            ({"patches": 5}, "patches must be a list of names, or names with their weights, not int"),
            (
                {"patches": torch.zeros(2, 2)},
                "patches must be a list of names, or names with their weights, not Tensor",
            ),
            ({"patches": [5, 5]}, r"patches\[0\] must be a list of names, or names with their weights, not int"),
            ({"patches": [["audio"], None]}, r"patches\[1\] must be a list of names.*, not NoneType"),
            ({"patches": [["audio"], [5]]}, "patches must hold names, not int"),
            ({"patches": {5: 1.0}}, "patches must hold names, not int"),
            ({"side": SIDE}, "side must hold a list for each channel, by its name, and is a SideChannel"),
            ({"side": {5: [None, None]}}, "no patch reads channel 5; those read: audio"),
            ({"side": {"audio": SIDE}}, r"side\['audio'\] is a SideChannel; give a list"),
            ({"side": {"audio": None}}, r"side\['audio'\] is a NoneType; give a list"),
            ({"side": {"audio": SIDE.values}}, r"side\['audio'\] is a Tensor; give a list"),
            (
                {"side": {"audio": [None, SIDE.values]}},
                r"side\['audio'\]\[1\] is a Tensor; give a SideChannel, or None where it is absent",
            ),
            ({"side": {"audio": SIDE}, "patches": []}, r"side\['audio'\] is a SideChannel; give a list"),
        ],
    )
    def test_calls(self, base: PreTrainedModel, change: dict[str, object], message: str) -> None:
        model, batch = patched(base), make_batch("llava_onevision")
        with pytest.raises(InputError, match=message) as caught:
            model(**batch.inputs, **{**batch.extras, **change})
        assert "\n" not in str(caught.value)

    def test_side_channel_of_another_width(self, base: PreTrainedModel) -> None:
        model, batch = patched(base), make_batch("llava_onevision")
        wide = SideChannel(torch.zeros(4, SIDE_DIM + 1), torch.arange(4.0))
        with pytest.raises(InputError, match="width 9, the patch was built for side_dim 8"):
            model(**batch.inputs, side={"audio": [wide, wide]}, video_times_sec=batch.times)

    def test_videos_without_what_a_patch_asks_with(self, base: PreTrainedModel) -> None:
        model, batch = patched(base), make_batch("llava_onevision")
        rest = {name: value for name, value in batch.inputs.items() if name != "pixel_values_videos"}
        early = model.encode_videos(batch.inputs, batch.times)
        model.add_patch("looking", patch_config(query="vision"))
        without = model.encode_videos(batch.inputs, batch.times, vision=False)
        for videos in (early, without):
            with pytest.raises(InputError, match=r"encode them with encode_videos\(\.\.\., vision=True\)"):
                model(**rest, side=batch.side, videos=videos)
        whole = model.encode_videos(batch.inputs, batch.times)
        assert model(**rest, side=batch.side, videos=whole).logits.isfinite().all()

    def test_active_sets(self, base: PreTrainedModel) -> None:
        model = patched(base)
        for patches, kind in ((5, "int"), ([5], "int"), ([None], "NoneType")):
            with pytest.raises(InputError, match=f"patches must .* not {kind}"):
                model.set_patches(patches)
        assert model.active_patches == {"audio": 1.0}

    def test_missing_inputs(self, base: PreTrainedModel) -> None:
        with pytest.raises(InputError, match="input_ids are missing"):
            patched(base)(pixel_values_videos=torch.zeros(1))

    @pytest.mark.parametrize(
        ("name", "config", "message"),
        [
            ("audio", patch_config(), "'audio' is on this model already"),
            ("a.b", patch_config(), "patch name 'a.b' cannot be used"),
            ("lora", patch_config(), "patch name 'lora' cannot be used"),
            ("depth", patch_config(token_dim=33), "token_dim is 33, but base"),
            ("depth", patch_config(layout="grid"), "layout 'grid' differs from 'native' of patch 'audio'"),
            (
                "depth",
                PatchConfig(channel="depth", side_dim=8, type="cros_attention"),
                "did you mean 'cross_attention'",
            ),
        ],
    )
    def test_adding(self, base: PreTrainedModel, name: str, config: PatchConfig, message: str) -> None:
        model = patched(base)
        with pytest.raises(InputError, match=message):
            model.add_patch(name, config)
        assert list(model.specs) == ["audio"]

    def test_lora_targets_that_do_not_exist(self, base: PreTrainedModel) -> None:
        model = PaveModel.from_base(base)
        with pytest.raises(InputError, match=r"no linear layer .* is named 'qproj'; choose from down_proj.*'q_proj'"):
            model.add_patch("lora_only", None, LoraSpec(targets=("qproj",)))
        assert not model.specs

    def test_layout_that_the_family_lacks(self) -> None:
        model = PaveModel.from_base(make_model("qwen2_5_vl"))
        with pytest.raises(InputError, match="has no layout 'grid'; choose from 'native'"):
            model.add_patch("audio", patch_config(layout="grid"))

    def test_the_class_tells_what_qwen_needs(self) -> None:
        model, batch = patched(make_model("qwen2_5_vl")), make_batch("qwen2_5_vl")
        del batch.inputs["mm_token_type_ids"]
        with pytest.raises(InputError, match="inputs lack mm_token_type_ids"):
            model(**batch.inputs, **batch.extras)


def digest(base: PreTrainedModel) -> str:
    """Hash of every weight of the base, with and without a LoRA around its layers."""
    sha = hashlib.sha256()
    for name, value in sorted(base.state_dict().items()):
        if ".lora_" not in name:
            sha.update(name.replace(".base_layer", "").encode() + value.detach().numpy().tobytes())
    return sha.hexdigest()


def test_no_videos_are_none(base: PreTrainedModel) -> None:
    model = patched(base)
    text = {"input_ids": torch.tensor([[20, 21, 22]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        assert torch.equal(model(**text, videos=[]).logits, model(**text).logits)
