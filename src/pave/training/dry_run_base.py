"""Stand-ins for a base that is not at hand: a tiny random model of its family, and a processor with made-up words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForImageTextToText,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from pave.bases.chatml import CHATML
from pave.errors import InputError

_MARKED = "<|vision_start|>{}<|vision_end|>"
_QWEN_TEMPLATE = CHATML.replace("<image>\\n", _MARKED.format("<|image_pad|>")).replace(
    "<video>\\n", _MARKED.format("<|video_pad|>")
)
_TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 320,
    "bos_token_id": None,
    "eos_token_id": 257,
    "pad_token_id": 258,
}
"""The vocabulary holds 256 bytes, special tokens, and some to spare."""

_SPECIAL = {"image": 300, "video": 301, "vision_start": 302, "vision_end": 303}


@dataclass(frozen=True)
class StandIn:
    """How a family is stood in for.

    Args:
        config: Of a tiny base, beside its special tokens.
        image: The family's token for a picture.
        video: The same for a video.
        processor: From a tokenizer and whether the base is tiny to a processor.
    """

    config: Mapping[str, Any]
    image: str
    video: str
    processor: Callable[[PreTrainedTokenizerFast, PretrainedConfig, bool], ProcessorMixin]


def check_known(model_type: str) -> None:
    """Check that a family has a stand-in.

    Raises:
        InputError: If it has none.
    """
    if model_type not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise InputError(
            f"base family {model_type!r} has no tiny stand-in ({known} have); dry-run with the base itself"
        )


def tiny_config(model_type: str, **text: Any) -> PretrainedConfig:
    """Return the configuration of a tiny base of a family.

    Args:
        model_type: Of the family.
        text: Settings of its language model in place of the tiny ones.

    Raises:
        InputError: If the family has no stand-in.
    """
    check_known(model_type)
    parts = _FAMILIES[model_type].config
    config = {"text_config": {**_TEXT, **parts["text_config"], **text}, "vision_config": {**parts["vision_config"]}}
    if "out_hidden_size" in config["vision_config"]:
        config["vision_config"]["out_hidden_size"] = config["text_config"]["hidden_size"]
    names = ("image_token_index", "video_token_index") if model_type == "llava_onevision" else _QWEN_IDS
    ids = {name: _SPECIAL[name.split("_token")[0]] for name in names}
    return CONFIG_MAPPING[model_type](**config, **ids)


def save_tiny_base(model_type: str, folder: Path, seed: int) -> Path:
    """Write a tiny random base of a family and its processor, so that the folder can be given as a base.

    Raises:
        InputError: If the family has no stand-in.
    """
    config = tiny_config(model_type)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    stand_in_processor(config, tiny=True).save_pretrained(folder)
    return folder


def stand_in_processor(config: PretrainedConfig, tiny: bool = False) -> ProcessorMixin:
    """Return a processor for a base of any size: it scales films as the release does, and writes a byte a token.

    Args:
        config: Of the base.
        tiny: Whether the base is that of :func:`tiny_config`, which sees small pictures.

    Raises:
        InputError: If the family has no stand-in.
    """
    check_known(config.model_type)
    family = _FAMILIES[config.model_type]
    special = {family.image: config.image_token_id, family.video: config.video_token_id}
    if hasattr(config, "vision_start_token_id"):
        special |= {"<|vision_start|>": config.vision_start_token_id, "<|vision_end|>": config.vision_end_token_id}
    return family.processor(_tokenizer(special), config, tiny)


def _tokenizer(special: Mapping[str, int]) -> PreTrainedTokenizerFast:
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)} | dict(special)
    filled = set(vocabulary.values())
    vocabulary |= {f"<unused {index}>": index for index in range(max(filled)) if index not in filled}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *special],
    )


def _llava_onevision(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, tiny: bool) -> ProcessorMixin:
    side = config.vision_config.image_size
    picture = {"size": {"height": side, "width": side}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(image_grid_pinpoints=[[side, side]], **picture),
        tokenizer,
        LlavaOnevisionVideoProcessor(**picture),
        num_image_tokens=(side // config.vision_config.patch_size) ** 2,
        vision_feature_select_strategy="full",
        chat_template=CHATML,
    )


def _qwen2_5_vl(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, tiny: bool) -> ProcessorMixin:
    size = {"shortest_edge": 56 * 56, "longest_edge": 56 * 112 if tiny else 12_845_056}
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size),
        tokenizer,
        Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        chat_template=_QWEN_TEMPLATE,
    )


def _qwen3_vl(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, tiny: bool) -> ProcessorMixin:
    # Of the whole film, not of a frame.
    size = {"shortest_edge": 64 * 64, "longest_edge": 32 * 64 * 64 if tiny else 25_165_824}
    patches = {"patch_size": 16, "merge_size": 2}
    return Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=size, **patches),
        tokenizer,
        Qwen3VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        chat_template=_QWEN_TEMPLATE,
    )


_LLAVA_VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
    "vision_use_head": False,
}
_QWEN_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
_QWEN_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
_QWEN = {"image": "<|image_pad|>", "video": "<|video_pad|>"}

_FAMILIES = {
    "llava_onevision": StandIn(
        {"text_config": {"model_type": "qwen2"}, "vision_config": _LLAVA_VISION},
        "<image>",
        "<video>",
        _llava_onevision,
    ),
    "qwen2_5_vl": StandIn(
        {
            "text_config": {"rope_parameters": _ROPE},
            "vision_config": {**_QWEN_VISION, "window_size": 56, "fullatt_block_indexes": [1]},
        },
        processor=_qwen2_5_vl,
        **_QWEN,
    ),
    "qwen3_vl": StandIn(
        {
            "text_config": {"head_dim": 16, "rope_parameters": _ROPE},
            "vision_config": {**_QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
        },
        processor=_qwen3_vl,
        **_QWEN,
    ),
}
