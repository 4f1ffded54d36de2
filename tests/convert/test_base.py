"""Original-layout checkpoints as transformers folders: same logits, every form of storage, nothing taken on trust."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoProcessor, LlavaOnevisionForConditionalGeneration

from pave import LoraSpec, PatchConfig, PaveModel, SideChannel
from pave.convert.base import BaseReport, convert_base
from pave.convert.base_tower import find_tower
from pave.data.processor import PaveProcessor
from pave.encoders.weights import Stored
from pave.errors import InputError
from pave.media.video import Frames
from tests.batches import randomize
from tests.convert.original import (
    HEADS,
    ROWS,
    SIZE,
    TOWER_WIDTH,
    WORDS,
    original_state,
    transformers_model,
    write_checkpoint,
    write_siglip,
)

TOLD: dict[str, Any] = {"vision_heads": HEADS, "image_size": SIZE}
FRAMES, TOKENS = 2, 2 * 2 * 2 + 1


def load(folder: Path) -> LlavaOnevisionForConditionalGeneration:
    model, info = LlavaOnevisionForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[40, 41, *[WORDS] * TOKENS, 50, 51, 52]])
    pixels = torch.randn(1, FRAMES, 3, SIZE, SIZE, generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values_videos": pixels}


def logits(model: Any, **extras: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(**inputs(), **extras).logits
    return found


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    convert_base(write_checkpoint(folder / "original"), folder / "out", **TOLD)
    return folder / "out"


def test_logits_are_those_of_the_checkpoint(converted: Path) -> None:
    assert torch.equal(logits(load(converted)), logits(transformers_model()))


def test_report_counts(tmp_path: Path) -> None:
    report = convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "out", **TOLD)
    wanted = len(transformers_model().state_dict())
    assert report == BaseReport(tmp_path / "out", wanted, 1, ROWS, ROWS, "checkpoint", HEADS, "told")


def test_shards_become_as_many_shards(tmp_path: Path, converted: Path) -> None:
    report = convert_base(write_checkpoint(tmp_path / "original", files=3), tmp_path / "out", **TOLD)
    assert report.files == len(list((tmp_path / "out").glob("*.safetensors"))) == 3
    found, wanted = load(tmp_path / "out").state_dict(), load(converted).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())


def test_half_precision_stays(tmp_path: Path) -> None:
    state = {name: weight.bfloat16() for name, weight in original_state(transformers_model()).items()}
    convert_base(write_checkpoint(tmp_path / "original", state), tmp_path / "out", **TOLD)
    model = load(tmp_path / "out")
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.lm_head.weight, state["lm_head.weight"])


@pytest.mark.parametrize("stored", [True, False])
def test_tied_embeddings_need_no_output_weight(tmp_path: Path, stored: bool) -> None:
    state = original_state(transformers_model(tied=True))
    state["lm_head.weight"] = torch.ones(ROWS, 32)
    if not stored:
        del state["lm_head.weight"]
    convert_base(write_checkpoint(tmp_path / "original", state, tie_word_embeddings=True), tmp_path / "out", **TOLD)
    assert "lm_head.weight" not in load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(logits(load(tmp_path / "out")), logits(transformers_model(tied=True)))


def test_saved_rotary_frequencies_are_left_out(tmp_path: Path, converted: Path) -> None:
    """Older versions of transformers saved them; they follow from the configuration."""
    state = {**original_state(transformers_model()), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    convert_base(write_checkpoint(tmp_path / "original", state), tmp_path / "out", **TOLD)
    assert torch.equal(logits(load(tmp_path / "out")), logits(load(converted)))


class TestTower:
    def test_a_siglip_of_its_own_loses_its_last_layer_and_head(self, tmp_path: Path, converted: Path) -> None:
        siglip = write_siglip(tmp_path / "siglip", transformers_model())
        checkpoint = write_checkpoint(tmp_path / "original", original_state(transformers_model(), tower=False))
        report = convert_base(checkpoint, tmp_path / "out", siglip)
        assert (report.vision_tower, report.vision_heads_origin) == (str(siglip), "configuration")
        assert torch.equal(logits(load(tmp_path / "out")), logits(load(converted)))

    def test_the_one_that_the_checkpoint_names_is_found(self, tmp_path: Path, converted: Path) -> None:
        siglip = write_siglip(tmp_path / "siglip", transformers_model())
        state = original_state(transformers_model(), tower=False)
        convert_base(write_checkpoint(tmp_path / "original", state, mm_vision_tower=str(siglip)), tmp_path / "out")
        assert torch.equal(logits(load(tmp_path / "out")), logits(load(converted)))

    def test_tuned_weights_are_kept_and_only_heads_and_size_taken(self, tmp_path: Path, converted: Path) -> None:
        siglip = write_siglip(tmp_path / "siglip", transformers_model(seed=5))
        report = convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "out", siglip)
        assert (report.vision_tower, report.vision_heads_origin) == ("checkpoint", "configuration")
        assert torch.equal(logits(load(tmp_path / "out")), logits(load(converted)))

    def test_the_released_tower_is_known(self) -> None:
        shapes = {
            "embeddings.patch_embedding.weight": (1152, 3, 14, 14),
            "embeddings.position_embedding.weight": (729, 1152),
            "encoder.layers.0.mlp.fc1.weight": (4304, 1152),
            "encoder.layers.25.mlp.fc1.weight": (4304, 1152),
        }
        stored = {name: Stored(Path("model.safetensors"), name, shape) for name, shape in shapes.items()}
        tower = find_tower(stored, "google/siglip-so400m-patch14-384", None, None, None)
        assert tower.heads_origin == "released tower"
        assert (tower.config.num_attention_heads, tower.config.image_size) == (16, 384)

    def test_a_guess_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            report = convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "out")
        assert (report.vision_heads, report.vision_heads_origin) == (4, "guess")
        assert "heads (taken: 4)" in caplog.text and "side (taken: 19)" in caplog.text

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            ({"vision_heads": 3, "image_size": SIZE}, "width 16 does not divide into 3 heads"),
            ({"vision_heads": 2, "image_size": 20}, "20 pixels has 25 patches of 4 pixels.* have 16 positions"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path: Path, told: dict[str, int], message: str) -> None:
        with pytest.raises(InputError, match=message):
            convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "out", **told)

    def test_no_tower_at_all(self, tmp_path: Path) -> None:
        state = original_state(transformers_model(), tower=False)
        checkpoint = write_checkpoint(tmp_path / "original", state, mm_vision_tower=...)
        with pytest.raises(InputError, match="holds no vision tower and names none"):
            convert_base(checkpoint, tmp_path / "out")


class TestVocabulary:
    def test_rows_without_a_token_stay_but_are_never_generated(self, converted: Path) -> None:
        model = load(converted)
        assert model.lm_head.weight.shape[0] == ROWS
        assert model.generation_config.suppress_tokens == list(range(WORDS, ROWS))
        with torch.no_grad():
            model.lm_head.weight[WORDS:] = 50 * model.lm_head.weight[WORDS:].sign()
        assert model.generate(**inputs(), max_new_tokens=6, do_sample=False)[0, -6:].max() < WORDS

    def test_cut_to_the_tokenizer(self, tmp_path: Path, converted: Path) -> None:
        report = convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "cut", **TOLD, cut_vocabulary=True)
        assert (report.vocabulary, report.vocabulary_before) == (WORDS + 1, ROWS)
        assert len(AutoProcessor.from_pretrained(tmp_path / "cut").tokenizer) == WORDS + 1
        assert torch.equal(logits(load(tmp_path / "cut")), logits(load(converted))[..., : WORDS + 1])

    def test_grown_where_the_placeholder_has_no_row(self, tmp_path: Path) -> None:
        state = original_state(transformers_model())
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            state[name] = state[name][:WORDS].contiguous()
        checkpoint = write_checkpoint(tmp_path / "original", state, vocab_size=WORDS)
        assert convert_base(checkpoint, tmp_path / "out", **TOLD).vocabulary == WORDS + 1
        model = load(tmp_path / "out")
        assert torch.equal(logits(model)[..., :WORDS], logits(transformers_model())[..., :WORDS])
        torch.testing.assert_close(model.lm_head.weight[-1], state["lm_head.weight"].mean(dim=0))

    def test_one_patch_and_its_lora_serve_both(self, tmp_path: Path, converted: Path) -> None:
        convert_base(write_checkpoint(tmp_path / "original"), tmp_path / "cut", **TOLD, cut_vocabulary=True)
        whole = PaveModel.from_base(converted)
        whole.add_patch("audio", PatchConfig(channel="audio", side_dim=6, hidden_dim=16, heads=2), LoraSpec(r=4))
        randomize(whole, "audio")
        whole.save_patch("audio", tmp_path / "patch")
        lora = load_file(tmp_path / "patch" / "lora" / "adapter_model.safetensors")
        assert lora and not any("embed_tokens" in name or "lm_head" in name for name in lora)
        cut = PaveModel.from_pretrained(tmp_path / "patch", tmp_path / "cut")
        side = {"audio": [SideChannel(torch.randn(3, 6, generator=torch.Generator().manual_seed(2)), torch.arange(3))]}
        extras = {"side": side, "video_times_sec": [torch.arange(FRAMES)]}
        found, wanted = logits(cut, **extras), logits(whole, **extras)
        assert torch.equal(found, wanted[..., : WORDS + 1])
        assert not torch.equal(found, logits(cut))
        settings = {"max_new_tokens": 5, "do_sample": False}
        assert torch.equal(
            cut.generate(**inputs(), **extras, **settings), whole.generate(**inputs(), **extras, **settings)
        )


class TestProcessor:
    def test_chat_is_the_references(self, converted: Path) -> None:
        processor = AutoProcessor.from_pretrained(converted)
        turns = [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Q"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
            {"role": "user", "content": "R"},
        ]
        assert processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n<video>\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
            "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n"
        )
        own = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
        assert processor.apply_chat_template(own, tokenize=False) == (
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n"
        )

    def test_placeholders_are_tokens_of_their_own(self, converted: Path) -> None:
        tokenizer = AutoProcessor.from_pretrained(converted).tokenizer
        config = load(converted).config
        assert tokenizer("<image>")["input_ids"] == [config.image_token_id] == [WORDS - 1]
        assert tokenizer("<video>")["input_ids"] == [config.video_token_id] == [WORDS]

    def test_frames_are_squashed_to_the_towers_square(self, converted: Path) -> None:
        model = PaveModel.from_base(converted)
        pixels = torch.arange(FRAMES * 40 * 60 * 3).reshape(FRAMES, 40, 60, 3).remainder(256).byte().numpy()
        made = PaveProcessor.from_model(model, frames=FRAMES)("Q ?", Frames(pixels, [0.5, 1.5]))
        assert made["pixel_values_videos"].shape == (1, FRAMES, 3, SIZE, SIZE)
        assert -1 <= made["pixel_values_videos"].min() < -0.5 and 0.5 < made["pixel_values_videos"].max() <= 1
        assert int((made["input_ids"] == WORDS).sum()) == TOKENS
        assert model.generate(**made, max_new_tokens=2, do_sample=False).shape[0] == 1

    def test_generation_settings_of_the_checkpoint_are_kept(self, tmp_path: Path) -> None:
        checkpoint = write_checkpoint(tmp_path / "original")
        settings = {"do_sample": True, "top_k": 20, "repetition_penalty": 1.05, "eos_token_id": [258, 256]}
        (checkpoint / "generation_config.json").write_text(json.dumps(settings))
        convert_base(checkpoint, tmp_path / "out", **TOLD)
        kept = load(tmp_path / "out").generation_config
        assert (kept.top_k, kept.repetition_penalty, kept.eos_token_id, kept.pad_token_id) == (
            20,
            1.05,
            [258, 256],
            256,
        )
        assert kept.suppress_tokens == list(range(WORDS, ROWS))


def rename(state: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {new if name == old else name: weight for name, weight in state.items()}


Q = "model.layers.0.self_attn.q_proj.weight"
TOWER_NORM = "model.vision_tower.vision_tower.vision_model.encoder.layers.1.layer_norm1.weight"
MUTATIONS: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "dropped": (lambda state: {k: v for k, v in state.items() if k != Q}, f"tensor '{Q}' is missing"),
    "dropped in the tower": (
        lambda state: {k: v for k, v in state.items() if k != TOWER_NORM},
        f"tensor '{TOWER_NORM}' is missing",
    ),
    "dropped newline": (
        lambda state: {k: v for k, v in state.items() if k != "model.image_newline"},
        "tensor 'model.image_newline' is missing",
    ),
    "first layer of the tower dropped": (
        lambda state: {k: v for k, v in state.items() if "vision_model.encoder.layers.0.mlp.fc1.weight" not in k},
        "vision_model.encoder.layers.0.mlp.fc1.weight' is missing",
    ),
    "renamed": (lambda state: rename(state, Q, Q.replace("q_proj", "query")), f"tensor '{Q}' is missing"),
    "extra": (lambda state: {**state, Q + "x": state[Q]}, f"unexpected tensor '{Q}x'; did you mean '{Q}'"),
    "foreign": (lambda state: {**state, "optimizer": torch.ones(1)}, "unexpected tensor 'optimizer'"),
    "another layer": (
        lambda state: {**state, Q.replace(".0.", ".2."): state[Q]},
        "unexpected tensor 'model.layers.2.self_attn.q_proj.weight'",
    ),
    "reshaped": (
        lambda state: {**state, Q: state[Q][:16].clone()},
        rf"tensor '{Q}' has shape \(16, 32\), the configuration asks for \(32, 32\)",
    ),
    "flattened in the tower": (
        lambda state: {
            **state,
            "model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.weight": torch.ones(
                TOWER_WIDTH, 48
            ),
        },
        r"patch_embedding.weight' has shape \(16, 48\); it must have 4 dimensions",
    ),
    "NaN": (lambda state: {**state, Q: state[Q] * torch.nan}, f"tensor '{Q}' holds NaN"),
    "whole numbers": (lambda state: {**state, Q: state[Q].int()}, f"tensor '{Q}' is torch.int32"),
}


def refused(checkpoint: Path, message: str) -> None:
    """The conversion ends with one line, and leaves nothing behind."""
    before = sorted(checkpoint.parent.iterdir())
    with pytest.raises(InputError, match=message) as caught:
        convert_base(checkpoint, checkpoint.parent / "out", **TOLD)
    assert "\n" not in str(caught.value)
    assert sorted(checkpoint.parent.iterdir()) == before


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    mutate, message = MUTATIONS[name]
    refused(write_checkpoint(tmp_path / "original", mutate(original_state(transformers_model()))), message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mm_hidden_size": ...}, "lacks 'mm_hidden_size'; give a LLaVA-OneVision checkpoint"),
        ({"mm_hidden_size": 24}, "mm_hidden_size is 24, but the vision tower has width 16"),
        ({"num_hidden_layers": ...}, "lacks 'num_hidden_layers'"),
        ({"num_hidden_layers": 3}, "tensor 'model.layers.2.self_attn.q_proj.weight' is missing"),
        ({"hidden_size": "wide"}, "config.json: .*hidden_size"),
        ({"vocab_size": 300}, r"tensor 'lm_head.weight' has shape \(272, 32\)"),
        ({"model_type": "llava_onevision"}, "in transformers' layout already"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear'; only 'mlp2x_gelu'"),
        ({"mm_spatial_pool_mode": "average"}, "mm_spatial_pool_mode is 'average'; only 'bilinear'"),
        ({"image_aspect_ratio": "pad"}, "image_aspect_ratio is 'pad'"),
        ({"image_grid_pinpoints": "(1x1)"}, "image_grid_pinpoints is"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    refused(write_checkpoint(tmp_path / "original", **settings), message)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "original", files=2)
    file = checkpoint / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(checkpoint, "model-00002-of-00002.safetensors: not a whole .safetensors file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda listed: {**listed, "lm_head.weight": "model-00009.safetensors"},
            "'model-00009.safetensors', which is not",
        ),
        (lambda listed: {**listed, "lm_head.weight": "../model.safetensors"}, "'../model.safetensors', which is not"),
        (
            lambda listed: {k: v for k, v in listed.items() if not v.startswith("model-00002")},
            "tensor '.*' is missing",
        ),
        (lambda listed: {k: v for k, v in listed.items() if k != Q}, f"tensor '{Q}' is not listed"),
        (lambda listed: {**listed, "more": "model-00001-of-00002.safetensors"}, "tensor 'more' is missing, though"),
        (lambda listed: None, "lacks 'weight_map'"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, change: Callable[..., Any], message: str) -> None:
    checkpoint = write_checkpoint(tmp_path / "original", files=2)
    index = checkpoint / "model.safetensors.index.json"
    listed = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": change(listed)}))
    refused(checkpoint, message)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.safetensors", "holds no weights file"),
        ("config.json", "config.json: no such file"),
        ("vocab.json", "holds no Qwen2 tokenizer"),
    ],
)
def test_a_missing_file_is_refused(tmp_path: Path, file: str, message: str) -> None:
    checkpoint = write_checkpoint(tmp_path / "original")
    (checkpoint / file).unlink()
    refused(checkpoint, message)


def test_a_full_folder_is_not_written_over(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "original")
    with pytest.raises(InputError, match="exists and is not empty"):
        convert_base(checkpoint, checkpoint)
