"""Conversations to tokens and labels as the reference trained on them, so that one of its runs can go on."""

from __future__ import annotations

import torch
from transformers import ProcessorMixin

from pave.data.conversation import Messages
from pave.data.features import Turns
from pave.errors import InputError

SYSTEM = "You are a helpful assistant."
TAGS = ("<video>", "<image>")
"""What marks the video in the reference's annotations."""


class ReferenceChat:
    """Stands in for :class:`pave.data.conversation.ChatTokenizer` under the preset ``reference``.

    Every conversation gets the same system turn, and each turn is tokenised by itself. Learnt are the whole assistant
    turns with their opening and closing, and also every line break and turn marker of the other turns. The text of the
    base's own chat template plays no part.

    Args:
        base_processor: The base's processor.
        placeholder_id: Token id that marks the video.

    Raises:
        InputError: If the tokenizer does not have the turn markers of ChatML.
    """

    def __init__(self, base_processor: ProcessorMixin, placeholder_id: int) -> None:
        self.tokenizer = base_processor.tokenizer
        self.placeholder_id = placeholder_id
        self.video: str = self.tokenizer.convert_ids_to_tokens(placeholder_id)
        self.always_learnt = {self._only_token(text) for text in ("<|im_start|>", "<|im_end|>", "\n")}

    def prompt(self, messages: Messages, video: bool) -> Turns:
        """Return the tokens up to where the model is to answer; a final answer is left out."""
        asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
        ids = [token for _, text in self._turns(asked, video, learning=False) for token in self._tokens(text)]
        ids += self._tokens(_opening("assistant"))
        return Turns(torch.tensor(ids), torch.zeros(len(ids), dtype=torch.bool))

    def answered(self, messages: Messages, video: bool) -> Turns:
        """Return the tokens of a whole conversation, with those marked that the reference learnt.

        Raises:
            InputError: If it does not end with an answer, has a system turn, or holds a tag after its first question.
        """
        if messages[-1]["role"] != "assistant":
            raise InputError("the conversation does not end with an answer; training needs one")
        ids: list[int] = []
        learnt: list[bool] = []
        for role, text in self._turns(messages, video, learning=True):
            tokens = self._tokens(text)
            ids += tokens
            learnt += [role == "assistant" or token in self.always_learnt for token in tokens]
        return Turns(torch.tensor(ids), torch.tensor(learnt))

    def render(self, messages: Messages, video: bool, prompt: bool = False) -> str:
        """Return a conversation as text; the video stands before the first user turn's text."""
        text = "".join(text for _, text in self._turns(messages, video, learning=not prompt))
        return text + _opening("assistant") if prompt else text

    def starts_bare(self, text: str) -> bool:
        """Whether the tokenizer must still put its own opening token before ``text``: it never does."""
        return False

    def _turns(self, messages: Messages, video: bool, learning: bool) -> list[tuple[str, str]]:
        """Return role and text of each turn."""
        if messages[0]["role"] == "system":
            raise InputError("preset 'reference' has a system turn of its own; take the conversation's out")
        contents = [turn["content"] for turn in messages]
        if video:
            contents[0] = f"{self.video}\n{_untagged(contents[0], learning)}"
        for place, content in enumerate(contents[1:] if video else contents, start=int(video)):
            if is_tagged(content):
                raise InputError(
                    f"messages[{place}] holds {' or '.join(TAGS)}; the video stands before the first question only"
                )
        roles = [turn["role"] for turn in messages]
        turns = [("system", SYSTEM), *zip(roles, contents, strict=True)]
        return [(role, f"{_opening(role)}{content}<|im_end|>\n") for role, content in turns]

    def _tokens(self, text: str) -> list[int]:
        parts = text.split(self.video)
        before, *after = (self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts)
        return [*before, *(token for part in after for token in (self.placeholder_id, *part))]

    def _only_token(self, text: str) -> int:
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(tokens) != 1 or tokens[0] == self.tokenizer.unk_token_id:
            raise InputError(f"preset 'reference' needs a tokenizer with the token {text!r}; use preset 'pave'")
        return int(tokens[0])


def _opening(role: str) -> str:
    return f"<|im_start|>{role}\n"


def is_tagged(text: str) -> bool:
    """Whether a turn of the reference's annotations marks the video."""
    return any(tag in text for tag in TAGS)


def without_tags(text: str) -> str:
    """Return a turn as the reference cleans one that marks the video, without the mark."""
    for tag in TAGS:
        text = text.replace(tag, "")
    return text.strip()


def _untagged(text: str, learning: bool) -> str:
    """Return a first question without its tags; what stood around one in mid-sentence keeps all its spaces.

    The reference strips a question that it learns, and takes one that it is asked as it is.
    """
    return without_tags(text) if learning or is_tagged(text) else text
