"""The base's own processor of some families, built from configurations, with a tokenizer of a few words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast, ProcessorMixin

from tests.families.test_towers import PATCHES, PROCESSORS, SIDE
from tests.tiny import word_tokenizer

SPECIAL = {"<pad>": 0, "<unk>": 1, "<|im_start|>": 2, "<|im_end|>": 3}
WORDS = ("\n", " ", "user", "assistant", "what", "made", "the", "sound", "which", "colour", "is", "it", "?", ".")


@dataclass(frozen=True)
class Parts:
    """What a family's processor is made of, beside its video processor.

    Args:
        processor: Its class.
        image_processor: Class of its image processor.
        tokens: Its own tokens, with their ids.
        named: Names under which its tokenizer gives some of them.
        video: What its chat template writes for a video.
        image_settings: Of the image processor.
        settings: Of the processor.
    """

    processor: str
    image_processor: str
    tokens: dict[str, int]
    video: str
    named: dict[str, str] = field(default_factory=dict)
    image_settings: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


QWEN = {"<|vision_start|>": 196, "<|vision_end|>": 197, "<|image_pad|>": 198, "<|video_pad|>": 199}
QWEN_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
GLM = {"<|begin_of_video|>": 194, "<|end_of_video|>": 195, "<|begin_of_image|>": 196, "<|end_of_image|>": 197}
LLAVA = {"<image>": 198, "<video>": 199}

PARTS = {
    "cosmos3_omni": Parts("Qwen3VLProcessor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "exaone4_5": Parts("Exaone4_5_Processor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "glm4v": Parts(
        "Glm4vProcessor",
        "Glm4vImageProcessor",
        {**GLM, "<|image|>": 198, "<|video|>": 199},
        "<|begin_of_video|><|video|><|end_of_video|>",
        {},
        PATCHES,
    ),
    "glm46v": Parts(
        "Glm46VProcessor",
        "Glm46VImageProcessor",
        {**GLM, "<|image|>": 198, "<|video|>": 199},
        "<|begin_of_video|><|video|><|end_of_video|>",
        {},
        PATCHES,
    ),
    "internvl": Parts(
        "InternVLProcessor",
        "GotOcr2ImageProcessor",
        {"<video>": 195, "<img>": 196, "</img>": 197, "<IMG_CONTEXT>": 198},
        "<video>\n",
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        {"size": SIDE},
        {"image_seq_length": 4},
    ),
    "lfm3_vl": Parts("Lfm3VlProcessor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "llava_next_video": Parts(
        "LlavaNextVideoProcessor",
        "LlavaNextImageProcessor",
        LLAVA,
        "<video>\n",
        {},
        {"size": {"shortest_edge": 56}, "crop_size": SIDE},
        {"patch_size": 14, "vision_feature_select_strategy": "default"},
    ),
    "minimax_m3_vl": Parts(
        "MiniMaxM3VLProcessor",
        "MiniMaxM3VLImageProcessor",
        {"]<]start of image[>[": 196, "]<]end of image[>[": 197, "]<]image[>[": 198, "]<]video[>[": 199},
        "]<]video[>[",
        {},
        PATCHES,
    ),
    "perception_lm": Parts(
        "PerceptionLMProcessor",
        "PerceptionLMImageProcessor",
        LLAVA,
        "<video>",
        {"image_token": "<image>", "video_token": "<video>"},
        {"tile_size": 56},
        {"patch_size": 14, "pooling_ratio": 2},
    ),
    "qwen2_vl": Parts("Qwen2VLProcessor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "qwen3_5": Parts("Qwen3VLProcessor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "qwen3_vl": Parts("Qwen3VLProcessor", "Qwen2VLImageProcessor", QWEN, QWEN_VIDEO, {}, PATCHES),
    "video_llama_3": Parts(
        "VideoLlama3Processor", "VideoLlama3ImageProcessor", QWEN, "<|video_pad|>", {}, {"patch_size": 14}
    ),
    "video_llava": Parts(
        "VideoLlavaProcessor", "VideoLlavaImageProcessor", LLAVA, "<video>\n", {}, {"size": SIDE}, {"patch_size": 14}
    ),
}
"""Families whose processor needs nothing but this."""


def make_processor(name: str) -> ProcessorMixin:
    """Build a family's processor, for frames of about 56 pixels."""
    parts = PARTS[name]
    video_class, video_settings = PROCESSORS[name]
    made: ProcessorMixin = getattr(transformers, parts.processor)(
        image_processor=getattr(transformers, parts.image_processor)(**parts.image_settings),
        tokenizer=_tokenizer(parts),
        video_processor=getattr(transformers, video_class)(**video_settings),
        chat_template=_template(parts.video),
        **parts.settings,
    )
    return made


def _tokenizer(parts: Parts) -> PreTrainedTokenizerFast:
    vocabulary = {**SPECIAL, **parts.tokens, **{word: index for index, word in enumerate(WORDS, start=len(SPECIAL))}}
    vocabulary |= {f"filler{index}": index for index in range(200) if index not in vocabulary.values()}
    return word_tokenizer(vocabulary, list(parts.tokens), **parts.named)


def _template(video: str) -> str:
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] + '\n' }}"
        "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
        f"{{{{ {video!r} }}}}"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
        "<|im_end|>{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>{{ 'assistant\n' }}{% endif %}"
    )
