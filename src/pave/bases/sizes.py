"""Dimensions of released bases by a short name, so that their cost can be counted without a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import (
    AutoConfig,
    LlavaOnevisionConfig,
    PretrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    SiglipVisionConfig,
)

from pave.errors import InputError, nearest
from pave.shipped import shipped_bases


def configuration_of(base: str | Path) -> PretrainedConfig:
    """Return the configuration of a base; of a hub repository only its configuration is fetched, never its weights.

    Args:
        base: The name of a known size, the hub id of one, a shipped name, a folder, or any other hub id.

    Raises:
        InputError: If there is no such base; the message lists the known names and the nearest one.
    """
    name = str(base)
    size = _HUB_IDS.get(name, name)
    if size in SIZES:
        return SIZES[size]()
    folder = shipped_bases().get(name, Path(name))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: holds no config.json; give the folder of a transformers model")
        return AutoConfig.from_pretrained(folder)
    known = [*SIZES, *shipped_bases()]
    if name.count("/") != 1 or Path(name).is_absolute() or name.startswith("."):
        raise InputError(
            f"unknown base {name!r}: no such folder, no hub id owner/name; known sizes: {', '.join(known)}"
            f"{nearest(name, known)}"
        )
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the configuration of base {name!r} could not be fetched from the hub ({reason})"
            f"{nearest(name, [*known, *_HUB_IDS])}"
        ) from None


def hub_id_of(base: str | Path) -> str:
    """Return the name under which a base's weights can be loaded: of a known size its hub id, else what was given."""
    return next((hub_id for hub_id, size in _HUB_IDS.items() if size == str(base)), str(base))


def _llava_onevision(language_model: Qwen2Config) -> LlavaOnevisionConfig:
    """LLaVA-OneVision: SigLIP so400m without its last layer and head, 27 x 27 patches of a frame of 384 pixels."""
    tower = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=26,
        num_attention_heads=16,
        image_size=384,
        patch_size=14,
        vision_use_head=False,
    )
    tied = language_model.tie_word_embeddings
    return LlavaOnevisionConfig(vision_config=tower, text_config=language_model, tie_word_embeddings=tied)


def _llava_onevision_half_billion() -> LlavaOnevisionConfig:
    return _llava_onevision(
        Qwen2Config(
            vocab_size=152000,
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            max_position_embeddings=32768,
            tie_word_embeddings=True,
        )
    )


def _llava_onevision_7_billion() -> LlavaOnevisionConfig:
    return _llava_onevision(
        Qwen2Config(
            vocab_size=152128,
            hidden_size=3584,
            intermediate_size=18944,
            num_hidden_layers=28,
            num_attention_heads=28,
            num_key_value_heads=4,
            max_position_embeddings=32768,
            tie_word_embeddings=False,
        )
    )


def _qwen2_5_vl(width: int, tied: bool, **language_model: int) -> Qwen2_5_VLConfig:
    tower = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": width,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }
    positions = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = {"hidden_size": width, "rope_parameters": positions, **language_model}
    return Qwen2_5_VLConfig(vision_config=tower, text_config=text, tie_word_embeddings=tied)


def _qwen2_5_vl_3_billion() -> Qwen2_5_VLConfig:
    return _qwen2_5_vl(
        2048,
        tied=True,
        vocab_size=151936,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
    )


def _qwen2_5_vl_7_billion() -> Qwen2_5_VLConfig:
    return _qwen2_5_vl(
        3584,
        tied=False,
        vocab_size=152064,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )


SIZES: dict[str, Callable[[], PretrainedConfig]] = {
    "llava-onevision-0.5b": _llava_onevision_half_billion,
    "llava-onevision-7b": _llava_onevision_7_billion,
    "qwen2.5-vl-3b": _qwen2_5_vl_3_billion,
    "qwen2.5-vl-7b": _qwen2_5_vl_7_billion,
}
"""Released sizes by name; calling one gives its configuration."""

_HUB_IDS = {
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": "llava-onevision-0.5b",
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": "llava-onevision-7b",
    "Qwen/Qwen2.5-VL-3B-Instruct": "qwen2.5-vl-3b",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2.5-vl-7b",
}
