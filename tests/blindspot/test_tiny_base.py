"""The tiny bases as transformers sees them: loaded by the Auto classes, words as tokens, the chat template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.video_utils import VideoMetadata

from pave.blindspot.tiny_base import FAMILIES, FRAME_COUNT, architecture, build_model, build_processor
from pave.blindspot.vocabulary import VIDEO, vocabulary, words
from pave.errors import InputError

QUESTION = "Which came first, the bell or the drum?"
ONE_A_SECOND = VideoMetadata(total_num_frames=64, fps=8, frames_indices=list(range(4, 64, 8)))
PLACEHOLDERS = {"llava_onevision": 33, "qwen2_5_vl": 16, "video_llama_3": 32}
TEMPLATED = {
    "llava_onevision": "<video>\n",
    "qwen2_5_vl": "<|vision_start|><video><|vision_end|>",
    "video_llama_3": "<video>\n",
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    build_model(3, family).save_pretrained(folder)
    build_processor(family).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("height", "width"), [(64, 64), (144, 192), (80, 64)])
def test_the_auto_classes_load_it_and_it_answers(folder: Path, family: str, height: int, width: int) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([message], add_generation_prompt=True)
    video = np.random.default_rng(0).integers(0, 256, (FRAME_COUNT, height, width, 3), dtype=np.uint8)
    told = {"do_sample_frames": False, "video_metadata": [ONE_A_SECOND], "input_data_format": "channels_last"}
    inputs = processor(text=[prompt], videos=[video], videos_kwargs=told, return_tensors="pt")
    assert inputs["pixel_values_videos"].numel() == FRAME_COUNT * 3 * 32 * 32
    assert int((inputs["input_ids"] == vocabulary()[VIDEO]).sum()) == PLACEHOLDERS[family]
    prefix = architecture(family).film.tokens
    assert inputs["input_ids"][0, : len(prefix)].tolist() == prefix.tolist()
    assert processor.tokenizer.unk_token_id not in inputs["input_ids"]
    ids = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert ids.shape[1] > inputs["input_ids"].shape[1]


def test_the_pixels_and_positions_of_training_are_those_of_inference(folder: Path, family: str) -> None:
    made = architecture(family)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    frames = np.random.default_rng(0).integers(0, 256, (2, FRAME_COUNT, 32, 32, 3), dtype=np.uint8)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]}
    inputs = processor(
        text=2 * [processor.apply_chat_template([message])],
        videos=list(frames),
        videos_kwargs={"do_sample_frames": False, "video_metadata": 2 * [ONE_A_SECOND]},
        return_tensors="pt",
    )
    scaled = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    torch.testing.assert_close(made.pixels(scaled), inputs["pixel_values_videos"])
    tokens = inputs["input_ids"]
    positions = made.positions(model.model, torch.arange(tokens.shape[1]).expand(2, -1), has_films=True)
    with torch.no_grad():
        asked = model(**inputs).logits
        trained = model(
            input_ids=tokens,
            position_ids=positions,
            pixel_values_videos=made.pixels(scaled),
            **made.beside(2),
        ).logits
    torch.testing.assert_close(trained, asked, atol=1e-4, rtol=1e-4)


def test_a_step_by_itself_has_the_tokens_that_it_has_in_a_film(folder: Path, family: str) -> None:
    made = architecture(family)
    core = AutoModelForImageTextToText.from_pretrained(folder).model
    frames = torch.rand(1, FRAME_COUNT, 3, 32, 32) * 2 - 1
    steps = frames.unflatten(1, (-1, made.frames_per_step))[0]
    with torch.no_grad():
        apart = made.step_tokens(core, steps)
        film = core.get_video_features(made.pixels(frames), **made.beside(1)).pooler_output[0]
    torch.testing.assert_close(film[: apart.shape[0] * apart.shape[1]], apart.flatten(0, 1), atol=1e-5, rtol=1e-5)


def test_tower_and_projector_share_no_weight_and_leave_none_out(family: str) -> None:
    made = architecture(family)
    core = made.model(0).model
    parts = [made.tower_weights(core), made.projector(core).parameters(), core.language_model.parameters()]
    ids = [id(weight) for part in parts for weight in part]
    others = {"image_newline"}
    assert sorted(ids) == sorted(id(weight) for name, weight in core.named_parameters() if name not in others)
    assert any(module is made.last_linear(core) for module in made.projector(core).modules())


def test_it_has_at_most_five_million_weights(family: str) -> None:
    assert sum(p.numel() for p in build_model(0, family).parameters()) <= 5_000_000


def test_words_have_the_same_numbers_in_every_family(family: str) -> None:
    numbers = architecture(family).vocabulary()
    assert vocabulary().items() <= numbers.items()
    assert sorted(numbers.values()) == list(range(len(numbers)))


def test_the_tokenizer_splits_words_and_punctuation_and_ignores_case(family: str) -> None:
    tokenizer = build_processor(family).tokenizer
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(QUESTION)["input_ids"])
    assert tokens == ["which", "came", "first", ",", "the", "bell", "or", "the", "drum", "?"]
    assert tokens == words(QUESTION)
    assert tokenizer.decode(tokenizer("Red cube")["input_ids"]) == "red cube"
    assert tokenizer("zebra")["input_ids"] == [tokenizer.unk_token_id]


def test_of_a_time_stamp_the_whole_seconds_are_kept() -> None:
    tokenizer = build_processor("video_llama_3").tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("Time 0.5s:,Time 7.5s:")["input_ids"]) == ["0", ",", "7"]


def test_the_template_marks_turns_and_takes_text_or_parts(family: str) -> None:
    processor = build_processor(family)
    talk = [
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What came first?"}]},
        {"role": "assistant", "content": "red cube"},
    ]
    assert processor.apply_chat_template(talk) == (
        f"<|im_start|>user\n{TEMPLATED[family]}What came first?<|im_end|>\n<|im_start|>assistant\nred cube<|im_end|>\n"
    )
    asked = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_weights_come_from_the_seed_and_the_global_state_is_left_alone(family: str) -> None:
    state = torch.get_rng_state()
    first, again, other = (build_model(seed, family).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_an_unknown_family_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no tiny base of family 'qwen2_vl'.*qwen2_5_vl"):
        architecture("qwen2_vl")
