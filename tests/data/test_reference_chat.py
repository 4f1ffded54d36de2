"""The reference's conversations, token by token: its ChatML, and the labels it really learnt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import Qwen2Tokenizer

from pave.data.reference_chat import ReferenceChat
from pave.errors import InputError
from tests.tiny import VIDEO, make_processor

GOLDEN = Path(__file__).parents[3] / "shared" / "reference" / "golden" / "e2e" / "tiny-llava-onevision-qwen2-ov"
NEWLINE = 198
QUESTION = {"role": "user", "content": "What is he holding?"}
ANSWER = {"role": "assistant", "content": "a mug"}
MORE = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "left\nhand"}]
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


@pytest.fixture(scope="module")
def chat() -> ReferenceChat:
    """With a byte-level tokenizer in the form that the reference's bases have."""
    if not GOLDEN.is_dir():
        pytest.skip("the reference's golden files are not beside this checkout")
    tokenizer = Qwen2Tokenizer.from_pretrained(GOLDEN)
    return ReferenceChat(SimpleNamespace(tokenizer=tokenizer), tokenizer.convert_tokens_to_ids("<image>"))


def runs(chat: ReferenceChat, messages: list[dict[str, str]], video: bool = True) -> list[tuple[str, bool]]:
    """Text of each run of tokens that are learnt, or not."""
    turns = chat.answered(messages, video)
    found: list[tuple[list[int], bool]] = []
    for token, learnt in zip(turns.ids.tolist(), turns.answer.tolist(), strict=True):
        if not found or found[-1][1] != learnt:
            found.append(([], learnt))
        found[-1][0].append(token)
    return [(chat.tokenizer.decode(tokens), learnt) for tokens, learnt in found]


def test_text_and_labels_with_all_their_quirks(chat: ReferenceChat) -> None:
    assert runs(chat, [QUESTION, ANSWER, *MORE]) == [
        ("<|im_start|>", True),
        ("system", False),
        ("\n", True),
        ("You are a helpful assistant.", False),
        ("<|im_end|>\n<|im_start|>", True),
        ("user", False),
        ("\n", True),
        ("<image>", False),
        ("\n", True),
        ("What is he holding?", False),
        ("<|im_end|>\n<|im_start|>assistant\na mug<|im_end|>\n<|im_start|>", True),
        ("user", False),
        ("\n", True),
        ("Where?", False),
        ("<|im_end|>\n<|im_start|>assistant\nleft\nhand<|im_end|>\n", True),
    ]


def test_the_line_break_that_is_learnt_has_the_references_id(chat: ReferenceChat) -> None:
    assert NEWLINE in chat.always_learnt


def test_a_turn_is_tokenised_by_itself_and_the_video_cuts_it(chat: ReferenceChat) -> None:
    plain = chat.tokenizer
    before = f"{SYSTEM}<|im_start|>user\n"
    after = "\nWhat is he holding?<|im_end|>\n<|im_start|>assistant\na mug<|im_end|>\n"
    pieces = [plain(text, add_special_tokens=False)["input_ids"] for text in (before, after)]
    assert chat.answered([QUESTION, ANSWER], video=True).ids.tolist() == [*pieces[0], chat.placeholder_id, *pieces[1]]


def test_prompt_ends_where_the_answer_begins(chat: ReferenceChat) -> None:
    whole = chat.answered([QUESTION, ANSWER], video=True)
    asked = chat.prompt([QUESTION, ANSWER], video=True)
    assert chat.tokenizer.decode(asked.ids).endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert whole.ids.tolist()[: len(asked.ids)] == asked.ids.tolist()
    assert not asked.answer.any()
    assert chat.prompt([QUESTION], video=True).ids.tolist() == asked.ids.tolist()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<image>\nWhere?", "<image>\nWhere?"),
        ("<video>\nWhere?", "<image>\nWhere?"),
        ("Where <image> is it?", "<image>\nWhere  is it?"),
        ("Where?\n<image>", "<image>\nWhere?"),
        ("  Where? ", "<image>\nWhere?"),
    ],
)
def test_a_tag_goes_to_the_front_and_the_spaces_around_it_stay(chat: ReferenceChat, text: str, shown: str) -> None:
    asked = {"role": "user", "content": text}
    assert f"user\n{shown}<|im_end|>" in chat.render([asked, ANSWER], video=True)
    assert f"user\n{shown}<|im_end|>" in chat.tokenizer.decode(chat.answered([asked, ANSWER], video=True).ids)


def test_a_question_that_is_only_asked_keeps_its_outer_spaces(chat: ReferenceChat) -> None:
    asked = {"role": "user", "content": " Where? "}
    assert "user\n<image>\n Where? <|im_end|>" in chat.tokenizer.decode(chat.prompt([asked], video=True).ids)


def test_answers_keep_their_spaces(chat: ReferenceChat) -> None:
    answer = {"role": "assistant", "content": " a mug \n"}
    assert chat.tokenizer.decode(chat.answered([QUESTION, answer], True).ids).endswith(
        "assistant\n a mug \n<|im_end|>\n"
    )


def test_text_only_has_no_placeholder(chat: ReferenceChat) -> None:
    assert chat.placeholder_id not in chat.answered([QUESTION, ANSWER], video=False).ids
    assert chat.render([QUESTION], video=False, prompt=True) == (
        f"{SYSTEM}<|im_start|>user\nWhat is he holding?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([QUESTION], "does not end with an answer"),
        ([{"role": "system", "content": "Be brief."}, QUESTION, ANSWER], "has a system turn of its own"),
        ([QUESTION, ANSWER, {"role": "user", "content": "<video> and now?"}, ANSWER], r"messages\[2\] holds <video>"),
    ],
)
def test_what_the_reference_could_not_say_is_refused(chat: ReferenceChat, messages: list, says: str) -> None:
    with pytest.raises(InputError, match=says):
        chat.answered(messages, video=True)


def test_a_tokenizer_without_turn_markers_is_refused() -> None:
    processor = make_processor("llava_onevision")
    assert ReferenceChat(processor, VIDEO).placeholder_id == VIDEO
    with pytest.raises(InputError, match="needs a tokenizer with the token '<|im_start|>'"):
        ReferenceChat(SimpleNamespace(tokenizer=_without_markers(processor.tokenizer)), VIDEO)


def _without_markers(tokenizer: object) -> object:
    class Plain:
        unk_token_id = tokenizer.unk_token_id
        convert_ids_to_tokens = staticmethod(tokenizer.convert_ids_to_tokens)

        def __call__(self, text: str, **options: bool) -> dict[str, list[int]]:
            return tokenizer(text.replace("<|im_", "<| im _"), **options)

    return Plain()
