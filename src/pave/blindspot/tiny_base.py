"""The tiny base before training: transformers' own LLaVA-OneVision model, processor and tokenizer from configs."""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)

from pave.bases.chatml import CHATML
from pave.blindspot.vocabulary import IMAGE, PAD, TURN_END, UNKNOWN, VIDEO, vocabulary

FRAME_COUNT = 8
FRAME_SIZE = 32
PATCH_SIZE = 8
_GRID = (FRAME_SIZE // PATCH_SIZE) ** 2
TOKENS_PER_FRAME = _GRID // 4
_WORD_SCALE = 6.0


def build_processor() -> LlavaOnevisionProcessor:
    """Return the processor: frames squashed to 32 x 32, words as tokens, and the chat template."""
    picture = {
        "size": {"height": FRAME_SIZE, "width": FRAME_SIZE},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(image_grid_pinpoints=[[FRAME_SIZE, FRAME_SIZE]], **picture),
        tokenizer=build_tokenizer(),
        video_processor=LlavaOnevisionVideoProcessor(**picture),
        num_image_tokens=_GRID,
        vision_feature_select_strategy="full",
        chat_template=CHATML,
    )


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: one token a word, lower case, punctuation apart."""
    tokenizer = Tokenizer(WordLevel(vocabulary(), unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PAD,
        eos_token=TURN_END,
        additional_special_tokens=["<|im_start|>", IMAGE, VIDEO],
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        padding_side="left",
    )


def build_model(seed: int) -> LlavaOnevisionForConditionalGeneration:
    """Return the model with random weights drawn from ``seed``; the global random state is left as it was."""
    tokens = vocabulary()
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=96,
            intermediate_size=192,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=FRAME_SIZE,
            patch_size=PATCH_SIZE,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            vocab_size=len(tokens),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            initializer_range=0.06,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokens[TURN_END],
            pad_token_id=tokens[PAD],
        ),
        image_token_index=tokens[IMAGE],
        video_token_index=tokens[VIDEO],
        image_grid_pinpoints=[[FRAME_SIZE, FRAME_SIZE]],
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaOnevisionForConditionalGeneration(config)
    _match_alike(model)
    _enlarge_words(model)
    model.generation_config.eos_token_id = tokens[TURN_END]
    model.generation_config.pad_token_id = tokens[PAD]
    return model


@torch.no_grad()
def _match_alike(model: LlavaOnevisionForConditionalGeneration) -> None:
    """Start half of the heads with queries that are their keys, so that a token looks for tokens like itself.

    Mimetic initialisation (Trockman and Kolter, arXiv 2305.09828): looking a word up among the video tokens is then
    there to be sharpened instead of to be found.
    """
    half = model.config.text_config.hidden_size // 2
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.weight[:half] = 2 * layer.self_attn.k_proj.weight[:half]


@torch.no_grad()
def _enlarge_words(model: LlavaOnevisionForConditionalGeneration) -> None:
    """Start with words as large as what a layer adds to them, so that no layer drowns them; logits stay as large."""
    model.get_input_embeddings().weight.mul_(_WORD_SCALE)
    model.model.language_model.norm.weight.fill_(1 / _WORD_SCALE)
