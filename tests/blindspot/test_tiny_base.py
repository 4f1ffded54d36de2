"""The tiny base as transformers sees it: loads through the Auto classes, words as tokens, the chat template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from pave.blindspot.tiny_base import FRAME_COUNT, TOKENS_PER_FRAME, build_model, build_processor, build_tokenizer
from pave.blindspot.vocabulary import VIDEO, vocabulary, words

QUESTION = "Which came first, the bell or the drum?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    build_model(seed=3).save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


def test_the_auto_classes_load_it_and_it_answers(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([message], add_generation_prompt=True)
    video = np.random.default_rng(0).integers(0, 256, (FRAME_COUNT, 48, 96, 3), dtype=np.uint8)
    inputs = processor(text=[prompt], videos=[video], return_tensors="pt")
    assert inputs["pixel_values_videos"].shape == (1, FRAME_COUNT, 3, 32, 32)
    placeholders = int((inputs["input_ids"] == vocabulary()[VIDEO]).sum())
    assert placeholders == FRAME_COUNT * TOKENS_PER_FRAME + 1
    ids = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert ids.shape[1] > inputs["input_ids"].shape[1]


def test_it_has_at_most_five_million_weights() -> None:
    assert sum(p.numel() for p in build_model(0).parameters()) <= 5_000_000


def test_the_tokenizer_splits_words_and_punctuation_and_ignores_case() -> None:
    tokenizer = build_tokenizer()
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(QUESTION)["input_ids"])
    assert tokens == ["which", "came", "first", ",", "the", "bell", "or", "the", "drum", "?"]
    assert tokens == words(QUESTION)
    assert tokenizer.decode(tokenizer("Red cube")["input_ids"]) == "red cube"
    assert tokenizer("zebra")["input_ids"] == [tokenizer.unk_token_id]


def test_the_template_marks_turns_and_takes_text_or_parts() -> None:
    processor = build_processor()
    talk = [
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What came first?"}]},
        {"role": "assistant", "content": "red cube"},
    ]
    assert processor.apply_chat_template(talk) == (
        "<|im_start|>user\n<video>\nWhat came first?<|im_end|>\n<|im_start|>assistant\nred cube<|im_end|>\n"
    )
    asked = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_weights_come_from_the_seed_and_the_global_state_is_left_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (build_model(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
