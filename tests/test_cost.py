"""Costs counted from configurations are those of the real models that run."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pave import InputError, LoraSpec, PatchConfig, PaveModel
from pave.cost import Scene, count_appended, count_base, count_encoder, count_patch, meta_model
from tests.batches import SIDE_DIM, make_batch
from tests.tiny import FAMILIES, PATCH, make_model, patched


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_are_those_of_a_real_forward_pass(family: str) -> None:
    model = make_model(family)
    # The counter does not know the fused attention of the CPU.
    model.set_attn_implementation("eager")
    batch = make_batch(family, rows=1)
    video_tokens = int((batch.inputs["input_ids"] == 199).sum())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**batch.inputs, logits_to_keep=1)
    steps = 3 if family == "llava_onevision" else 2
    frames = steps if family == "llava_onevision" else steps * 2
    scene = Scene(frames, batch.inputs["input_ids"].shape[1] - video_tokens, height=8 * 14, width=8 * 14)
    cost = count_base(meta_model(model.config), scene)
    assert cost.steps == steps
    assert cost.sequence == batch.inputs["input_ids"].shape[1]
    assert cost.total.flops == counter.get_total_flops()


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_the_real_model(family: str) -> None:
    model = make_model(family)
    cost = count_base(meta_model(model.config), Scene(2, 4, 56, 56))
    assert cost.total.parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_patch_and_lora_are_those_of_a_real_model(family: str) -> None:
    real = patched(family)
    model = meta_model(real.base.config)
    cost = count_base(model, Scene(4, 8, 56, 56))
    patch, lora = count_patch(model, cost, PATCH, LoraSpec(r=4, alpha=8), 5, 2, 4.0)
    assert patch.parameters == sum(weight.numel() for weight in real.patches["audio"].parameters())
    assert lora.parameters == sum(weight.numel() for weight in real.lora.parameters("audio"))
    assert lora.flops == 2 * lora.parameters * cost.sequence
    assert not model.specs


def test_appended_tokens_cost_what_a_real_forward_pass_costs() -> None:
    real, batch = make_model("llava_onevision"), make_batch("llava_onevision", rows=1)
    real.set_attn_implementation("eager")
    patch = PatchConfig("audio", SIDE_DIM, "append", hidden_dim=16)
    patched_model = PaveModel.from_base(real)
    patched_model.add_patch("audio", patch)
    video_tokens = int((batch.inputs["input_ids"] == 199).sum())
    model = meta_model(real.config)
    cost = count_base(model, Scene(3, batch.inputs["input_ids"].shape[1] - video_tokens))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        patched_model(**batch.inputs, **batch.extras, logits_to_keep=1)
    parts = count_patch(model, cost, patch, LoraSpec(r=4), 4, 1, 3.0)
    assert [part.name for part in parts] == ["patch", "longer sequence", "LoRA"]
    assert cost.total.flops + parts[0].flops + parts[1].flops == counter.get_total_flops()
    assert parts[2].flops == 2 * parts[2].parameters * (cost.sequence + 4)
    assert count_appended(model, patch, 4, 1) == 4 and count_appended(model, PATCH, 4, 1) == 0


def test_without_a_patch_or_without_a_lora() -> None:
    model = meta_model(make_model("llava_onevision").config)
    cost = count_base(model, Scene(4, 8))
    assert [part.name for part in count_patch(model, cost, PATCH, None, 5, 2, 4.0)] == ["patch"]
    assert [part.name for part in count_patch(model, cost, None, LoraSpec(r=4), 0, 0, 4.0)] == ["LoRA"]


def test_a_patch_of_another_width_is_refused() -> None:
    model = meta_model(make_model("llava_onevision").config)
    cost = count_base(model, Scene(2, 2))
    with pytest.raises(InputError, match="token_dim is 99"):
        count_patch(model, cost, PatchConfig("audio", 4, token_dim=99), None, 5, 1, 4.0)


def test_frames_that_merge_count_as_one_step() -> None:
    config = make_model("qwen2_5_vl").config
    assert count_base(meta_model(config), Scene(frames=5, height=56, width=84)).steps == 3
    assert count_base(meta_model(config), Scene(frames=5, height=56, width=84)).tokens == 2 * 3


def test_scene_refuses_nothing_to_count() -> None:
    with pytest.raises(InputError, match="frames is 0"):
        Scene(frames=0)


def base(family: str = "llava_onevision") -> tuple[PaveModel, Scene]:
    return meta_model(make_model(family).config), Scene(4, height=56, width=84)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_of_the_bases_tower_costs_what_the_tower_does(family: str) -> None:
    model, scene = base(family)
    steps = count_base(model, scene).steps
    names = ("vision tower", "visual")
    tower = next(part.flops for part in count_base(model, scene).parts if part.name in names) / steps
    cost = count_encoder({"type": "frames", "frame_rate": 5.0, "grid": (1, 1)}, 6.0, model, scene)
    assert (cost.part.parameters, cost.steps, cost.tokens) == (0, 30, 1)
    assert cost.part.flops == 30 * tower > 0


def test_log_mel_encoder_has_no_weights_and_makes_the_steps_it_says() -> None:
    cost = count_encoder({"type": "log_mel", "window_sec": 0.5, "hop_sec": 0.25}, 8.0, *base())
    assert (cost.part.parameters, cost.steps, cost.tokens) == (0, 31, 1)
    assert cost.part.flops > 0


def test_released_audio_model_is_counted_without_a_download() -> None:
    settings = {"type": "audio", "model": "laion/larger_clap_general", "window_sec": 2.0, "hop_sec": 1.0}
    cost = count_encoder(settings, 60.0, *base())
    # A Swin transformer of 128, 256, 512, 1024 channels; the published model with its text part has 193.9 M weights.
    assert cost.part.parameters == 67_824_408
    assert cost.steps == 59
    assert cost.part.flops == pytest.approx(59 * 30.65e9, rel=0.01)


def test_encoder_without_a_rate_is_refused() -> None:
    with pytest.raises(InputError, match="its files alone tell how many side steps"):
        count_encoder({"type": "precomputed", "width": 4}, 60.0, *base())


def test_meta_model_holds_no_weights() -> None:
    assert {weight.device.type for weight in meta_model(make_model("llava_onevision").config).parameters()} == {"meta"}
