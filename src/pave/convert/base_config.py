"""Configuration, processor and generation settings of a converted base, from an original-layout ``config.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from tokenizers import AddedToken
from transformers import (
    GenerationConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2Tokenizer,
    SiglipVisionConfig,
)

from pave.bases.chatml import CHATML_WITH_SYSTEM
from pave.config import read_json
from pave.errors import InputError

IMAGE, VIDEO = "<image>", "<video>"
GRID_SIDE = 6
"""Rows and columns of tiles up to which LLaVA-OneVision cuts a large image."""

TEXT_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
TEXT_OPTIONS = (
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "use_cache",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "attention_dropout",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
NEEDED = {
    "mm_projector_type": "mlp2x_gelu",
    "mm_spatial_pool_mode": "bilinear",
    "mm_patch_merge_type": "spatial_unpad",
}
"""Settings of the original that change its mathematics, and the one value that transformers' model has."""


def read_original(path: Path) -> dict[str, Any]:
    """Read the ``config.json`` of an original-layout checkpoint.

    Raises:
        InputError: If it is none of LLaVA-OneVision on Qwen2, or sets what transformers' model cannot do.
    """
    data = read_json(path)
    if data.get("model_type") == "llava_onevision":
        raise InputError(f"{path}: the checkpoint is in transformers' layout already; use it as the base")
    if "mm_hidden_size" not in data:
        raise InputError(f"{path}: lacks 'mm_hidden_size'; give a LLaVA-OneVision checkpoint in its original layout")
    for key in TEXT_SIZES:
        if key not in data:
            raise InputError(f"{path}: lacks {key!r}")
    for key, value in NEEDED.items():
        if data.get(key, value) != value:
            raise InputError(f"{path}: {key} is {data[key]!r}; only {value!r} can be converted")
    return data


def read_tokenizer(folder: Path) -> tuple[PreTrainedTokenizerBase, int]:
    """Return the tokenizer of an original checkpoint with the two placeholders, and its length before.

    Raises:
        InputError: If there is none, or its end-of-turn token is not that of the template.
    """
    try:
        tokenizer = Qwen2Tokenizer.from_pretrained(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder}: holds no Qwen2 tokenizer that can be loaded ({reason})") from None
    length = len(tokenizer)
    known = tokenizer.get_vocab()
    for token in ("<|im_start|>", "<|im_end|>"):
        if token not in known:
            raise InputError(f"{folder}: the tokenizer has no {token!r}; give the checkpoint's own tokenizer")
    added = [AddedToken(token, special=True, normalized=False) for token in (IMAGE, VIDEO) if token not in known]
    tokenizer.add_tokens(added, special_tokens=True)
    tokenizer.chat_template = None
    return tokenizer, length


def make_config(
    original: Mapping[str, Any], path: Path, vision: SiglipVisionConfig, tokenizer: PreTrainedTokenizerBase
) -> LlavaOnevisionConfig:
    """Return the configuration in transformers' terms; its vocabulary is still that of the weights.

    Args:
        original: What ``path`` holds.
        path: Where it is from, for messages.
        vision: The vision tower.
        tokenizer: With both placeholders.

    Raises:
        InputError: If a value is of another type than the model takes, or the tower has another width.
    """
    if original["mm_hidden_size"] != vision.hidden_size:
        raise InputError(
            f"{path}: mm_hidden_size is {original['mm_hidden_size']}, but the vision tower has width "
            f"{vision.hidden_size}; give the checkpoint's own tower"
        )
    aspect_ratio = original.get("image_aspect_ratio", "anyres_max_9")
    if not re.fullmatch(r"anyres_max_\d+", str(aspect_ratio)):
        raise InputError(f"{path}: image_aspect_ratio is {aspect_ratio!r}; only 'anyres_max_N' can be converted")
    fields = {key: original[key] for key in (*TEXT_SIZES, *TEXT_OPTIONS) if original.get(key) is not None}
    try:
        text = Qwen2Config(**fields)
        return LlavaOnevisionConfig(
            architectures=["LlavaOnevisionForConditionalGeneration"],
            text_config=text,
            vision_config=vision,
            image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
            video_token_index=tokenizer.convert_tokens_to_ids(VIDEO),
            projector_hidden_act="gelu",
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            image_grid_pinpoints=_pinpoints(original, path, vision.image_size),
            vision_aspect_ratio=aspect_ratio,
            tie_word_embeddings=text.tie_word_embeddings,
        )
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def _pinpoints(original: Mapping[str, Any], path: Path, image_size: int) -> list[list[int]]:
    """Return the sizes in pixels that a large image may be cut up at."""
    found = original.get("image_grid_pinpoints")
    if isinstance(found, list):
        return found
    if found not in (None, f"(1x1),...,({GRID_SIDE}x{GRID_SIDE})"):
        raise InputError(f"{path}: image_grid_pinpoints is {found!r}; give a list of heights and widths")
    sides = range(1, GRID_SIDE + 1)
    return [[rows * image_size, columns * image_size] for rows in sides for columns in sides]


def make_processor(config: LlavaOnevisionConfig, tokenizer: PreTrainedTokenizerBase) -> LlavaOnevisionProcessor:
    """Return the processor: frames squashed to the tower's square, pixels from -1 to 1, the reference's chat text."""
    side = config.vision_config.image_size
    picture = {
        "size": {"height": side, "width": side},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(image_grid_pinpoints=config.image_grid_pinpoints, **picture),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(**picture),
        num_image_tokens=(side // config.vision_config.patch_size) ** 2,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        vision_aspect_ratio=config.vision_aspect_ratio,
        chat_template=CHATML_WITH_SYSTEM,
    )


def make_generation(
    folder: Path, original: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, words: int, vocabulary: int
) -> GenerationConfig:
    """Return the generation settings: the checkpoint's own if it has any.

    The reference cuts the rows of the vocabulary that stand behind its ``words`` tokens before it generates; here they
    are suppressed, up to the last of ``vocabulary`` rows, so that the same tokens can be generated.

    Raises:
        InputError: If the checkpoint's settings cannot be read.
    """
    ends = original.get("eos_token_id")
    if (folder / "generation_config.json").is_file():
        settings = read_json(folder / "generation_config.json")
        ends = settings.pop("eos_token_id", ends)
        generation = GenerationConfig.from_dict(settings)
    else:
        generation = GenerationConfig(bos_token_id=original.get("bos_token_id"))
    generation.eos_token_id = tokenizer.eos_token_id if ends is None else ends
    if generation.pad_token_id is None:
        generation.pad_token_id = tokenizer.pad_token_id
    generation.suppress_tokens = [*(generation.suppress_tokens or []), *range(words, vocabulary)] or None
    return generation
