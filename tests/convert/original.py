"""Tiny random checkpoints in LLaVA-OneVision's original layout, and the SigLIP that such a checkpoint starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config, SiglipVisionConfig

WIDTH, TOWER_WIDTH, TOWER_LAYERS, HEADS, PATCH, SIZE = 32, 16, 2, 2, 4, 19
ROWS = 272
"""Rows of the vocabulary: 256 bytes, four special tokens, and padding."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
WORDS = 256 + len(SPECIAL)

CONFIG: dict[str, Any] = {
    "architectures": ["LlavaQwenForCausalLM"],
    "model_type": "llava",
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "bos_token_id": 256,
    "eos_token_id": 258,
    "image_aspect_ratio": "anyres_max_9",
    "mm_hidden_size": TOWER_WIDTH,
    "mm_patch_merge_type": "spatial_unpad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_spatial_pool_mode": "bilinear",
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
}


def transformers_model(seed: int = 0, tied: bool = False) -> LlavaOnevisionForConditionalGeneration:
    """The model whose weights the checkpoints hold."""
    text = Qwen2Config(
        vocab_size=ROWS,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=tied,
    )
    vision = SiglipVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=24,
        num_hidden_layers=TOWER_LAYERS,
        num_attention_heads=HEADS,
        image_size=SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    model = LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            text_config=text,
            vision_config=vision,
            image_token_index=WORDS - 1,
            video_token_index=WORDS,
            vision_feature_layer=-1,
            tie_word_embeddings=tied,
        )
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            scale = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.5
            weight.normal_(0, scale, generator=generator)
    return model.eval()


def original_state(model: LlavaOnevisionForConditionalGeneration, tower: bool = True) -> dict[str, Tensor]:
    """The weights of a model under the original names, with or without the tower's."""
    state = {}
    for name, weight in model.state_dict().items():
        if name.startswith("model.vision_tower."):
            if not tower:
                continue
            name = name.replace("model.vision_tower.", "model.vision_tower.vision_tower.vision_model.")
        name = name.replace("multi_modal_projector.linear_1", "mm_projector.0")
        name = name.replace("multi_modal_projector.linear_2", "mm_projector.2")
        state[name.replace("model.language_model.", "model.")] = weight.detach().clone()
    return state


def write_checkpoint(folder: Path, state: dict[str, Tensor] | None = None, files: int = 1, **config: Any) -> Path:
    """Write a checkpoint in one file or several; a setting of ``...`` is left out of its configuration."""
    state = original_state(transformers_model()) if state is None else state
    state = {name: weight.clone() for name, weight in state.items()}
    folder.mkdir(parents=True)
    settings = {key: value for key, value in {**CONFIG, **config}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(settings))
    _write_tokenizer(folder)
    if files == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    names = sorted(state)
    listed = {name: f"model-{index % files + 1:05}-of-{files:05}.safetensors" for index, name in enumerate(names)}
    for file in sorted(set(listed.values())):
        save_file({name: state[name] for name in names if listed[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return folder


def write_siglip(folder: Path, model: LlavaOnevisionForConditionalGeneration) -> Path:
    """Write a whole SigLIP: the model's tower, one layer more, a head and a part for text."""
    state = {"vision_model." + name: weight for name, weight in model.model.vision_tower.state_dict().items()}
    layer = f"vision_model.encoder.layers.{TOWER_LAYERS - 1}."
    last = {
        name.replace(layer, f"vision_model.encoder.layers.{TOWER_LAYERS}."): 0.5 * weight
        for name, weight in state.items()
        if name.startswith(layer)
    }
    rest = {
        "vision_model.head.probe": torch.ones(1, 1, TOWER_WIDTH),
        "text_model.final_layer_norm.weight": torch.ones(4),
        "logit_scale": torch.ones(1),
    }
    folder.mkdir(parents=True)
    save_file(
        {name: weight.detach().clone() for name, weight in {**state, **last, **rest}.items()},
        folder / "model.safetensors",
    )
    vision = {"num_attention_heads": HEADS, "image_size": SIZE, "num_hidden_layers": TOWER_LAYERS + 1}
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": vision}))
    return folder


def _write_tokenizer(folder: Path) -> None:
    vocabulary = {character: index for index, character in enumerate(_byte_characters())}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    added = {
        str(index): {
            "content": token,
            "special": True,
            "normalized": False,
            "lstrip": False,
            "rstrip": False,
            "single_word": False,
        }
        for index, token in enumerate(SPECIAL, start=256)
    }
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 4096,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _byte_characters() -> list[str]:
    """One printable character for each byte, as byte-level vocabularies write them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    codes = {byte: byte for byte in printable} | {byte: 256 + place for place, byte in enumerate(rest)}
    return [chr(codes[byte]) for byte in range(256)]
