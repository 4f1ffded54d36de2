"""What the reference writes into a checkpoint's ``config.json``, and the sizes that it leaves to its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pave.config import PatchConfig
from pave.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FROM_TEXT = (
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "max_window_layers",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "sliding_window",
    "tie_word_embeddings",
    "use_cache",
    "use_sliding_window",
    "vocab_size",
)
"""Settings of the language model, which keep their names."""

FIXED = {
    "architectures": ["LlavaQwenForCausalLM"],
    "feat_combine_method": "add",
    "image_aspect_ratio": "anyres_max_9",
    "mm_newline_position": "grid",
    "mm_patch_merge_type": "spatial_unpad",
    "mm_projector_lr": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_resampler_type": None,
    "mm_spatial_pool_mode": "bilinear",
    "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_video_tower": "opensora",
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
    "mm_vision_tower_lr": 2e-06,
    "tokenizer_padding_side": "right",
    "train_addition_start_end_tokens": False,
    "transformers_version": "4.37.2",
    "tune_temporal_aggregator": False,
    "use_mm_proj": True,
    "vision_tower_pretrained": None,
}
"""Settings that are the same in every checkpoint of the reference."""


def original_name(base: str) -> str:
    """Return the reference's name of a base: its bases are the originals of the hub's conversions."""
    owner, _, name = base.partition("/")
    return f"lmms-lab/{name.removesuffix('-hf')}" if owner == "llava-hf" else base


def reference_config(config: PretrainedConfig, base: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return ``config.json`` of a checkpoint of one patch, with the reference's keys.

    Args:
        config: Of the base.
        base: Name of the base.
        dtype: Float type of the patch.

    Raises:
        InputError: If the base is of a family that the reference does not know.
    """
    if config.model_type != "llava_onevision":
        raise InputError(f"base {base!r} is a {config.model_type}; the reference knows llava_onevision only")
    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    return {
        **{key: getattr(text, key) for key in FROM_TEXT},
        **FIXED,
        "_name_or_path": original_name(base),
        "image_token_index": config.image_token_id,
        "mm_hidden_size": config.vision_config.hidden_size,
        "model_type": "pave_qwen2",
        "rope_theta": rope.get("rope_theta", 1e6),
        "temporal_aggregator_type": "pmv5",
        "tokenizer_model_max_length": text.max_position_embeddings,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def reference_sizes(patch: PatchConfig) -> dict[str, Any]:
    """Return what ``temporal_aggregator_config`` of the reference's configuration class must say of a patch."""
    return {
        "input_dim": patch.side_dim,
        "output_dim": patch.token_dim,
        "embed_dim": patch.memory_dim or patch.hidden_dim,
        "query_input_dim": patch.query_dim,
        "cross_attn_hidden_dim": patch.hidden_dim,
        "num_cross_attn_head": patch.heads,
        "num_cross_attn_layer": patch.layers,
        "use_3d_rope": patch.positions == "rotary_3d",
    }
