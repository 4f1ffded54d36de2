"""Conversations as tokens: prompts are the base's own, and exactly the answers are learnt."""

from __future__ import annotations

import pytest
from transformers import ProcessorMixin

from pave.data.conversation import ChatTokenizer
from pave.errors import InputError
from tests.tiny import FAMILIES, make_processor

QUESTION = {"role": "user", "content": "what made the sound ?"}
ANSWER = {"role": "assistant", "content": "red cube"}
MORE = [{"role": "user", "content": "which colour ?"}, {"role": "assistant", "content": "yes"}]


@pytest.fixture(params=FAMILIES)
def processor(request: pytest.FixtureRequest) -> ProcessorMixin:
    return make_processor(request.param)


def learnt(chat: ChatTokenizer, messages: list[dict[str, str]], video: bool = True) -> list[str]:
    """Text of each run of learnt tokens."""
    turns = chat.answered(messages, video)
    runs: list[list[int]] = []
    before = False
    for token, marked in zip(turns.ids.tolist(), turns.answer.tolist(), strict=True):
        if marked:
            runs = [*runs[:-1], [*runs[-1], token]] if before else [*runs, [token]]
        before = marked
    return [chat.tokenizer.decode(run) for run in runs]


def test_prompt_is_what_the_base_processor_makes(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    system = {"role": "system", "content": "You are helpful ."}
    for messages in ([QUESTION], [system, QUESTION], [QUESTION, ANSWER, MORE[0]]):
        conversation = [
            {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in messages
        ]
        expected = processor.apply_chat_template(
            conversation, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
        )
        assert chat.prompt(messages, video=False).ids.tolist() == expected["input_ids"][0].tolist()


def test_prompt_leaves_a_final_answer_out(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    asked = chat.prompt([QUESTION], video=True)
    assert chat.prompt([QUESTION, ANSWER], video=True).ids.tolist() == asked.ids.tolist()
    assert not asked.answer.any()


def test_exactly_answers_and_their_end_are_learnt(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    assert learnt(chat, [QUESTION, ANSWER]) == ["red cube<|im_end|>"]
    assert learnt(chat, [QUESTION, ANSWER, *MORE], video=False) == ["red cube<|im_end|>", "yes<|im_end|>"]


def test_learnt_answer_follows_the_very_prompt_that_generation_starts_from(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    messages = [QUESTION, ANSWER, *MORE]
    prompt = chat.prompt(messages, video=True).ids.tolist()
    whole = chat.answered(messages, video=True)
    assert whole.ids.tolist()[: len(prompt)] == prompt
    assert whole.answer[len(prompt)]


def test_answer_that_is_part_of_the_end_token_is_found(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    for text in ("a", "yes", "system", "made the sound"):
        assert learnt(chat, [QUESTION, {"role": "assistant", "content": text}]) == [f"{text}<|im_end|>"]


def test_template_without_an_end_token_gets_the_tokenizers(processor: ProcessorMixin) -> None:
    processor.chat_template = (
        "{% for message in messages %}{{ message['role'] }} {{ message['content'][-1]['text'] }} {% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    chat = ChatTokenizer(processor)
    assert learnt(chat, [QUESTION, ANSWER, *MORE]) == ["red cube<|im_end|>", "yes<|im_end|>"]


def test_what_cannot_be_learnt_is_refused(processor: ProcessorMixin) -> None:
    chat = ChatTokenizer(processor)
    with pytest.raises(InputError, match="does not end with an answer"):
        chat.answered([QUESTION], video=True)
    processor.chat_template = "{% for message in messages %}{{ message['role'] }}{% endfor %}"
    with pytest.raises(InputError, match="does not write every answer out once"):
        chat.answered([QUESTION, ANSWER], video=False)
    processor.chat_template = None
    with pytest.raises(InputError, match="has no chat template"):
        ChatTokenizer(processor)
