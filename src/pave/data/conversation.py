"""Conversations to tokens through the base's own chat template, with the answers marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import ProcessorMixin

from pave.data.features import Turns
from pave.errors import InputError

Messages = Sequence[dict[str, str]]


class ChatTokenizer:
    """Tokenises conversations as the base saw them in its own training.

    A conversation is cut where answers begin and end, and each piece is tokenised by itself: a model that generates
    meets just these pieces, the prompt as one and then its own tokens.

    Args:
        base_processor: The base's processor, with a chat template.

    Raises:
        InputError: If there is no chat template.
    """

    def __init__(self, base_processor: ProcessorMixin) -> None:
        if not base_processor.chat_template:
            raise InputError("the base's processor has no chat template; give a base that was tuned on conversations")
        self.processor = base_processor
        self.tokenizer = base_processor.tokenizer
        added = self.tokenizer.added_tokens_decoder.items()
        self.special_ids = {*self.tokenizer.all_special_ids, *(index for index, token in added if token.special)}

    def prompt(self, messages: Messages, video: bool) -> Turns:
        """Return the tokens up to where the model is to answer; a final answer is left out."""
        asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
        return self._joined([(self.render(asked, video, prompt=True), False)])

    def answered(self, messages: Messages, video: bool) -> Turns:
        """Return the tokens of a whole conversation; every answer and its end-of-turn token are marked.

        Raises:
            InputError: If it does not end with an answer, or the chat template does not write answers out once each.
        """
        if messages[-1]["role"] != "assistant":
            raise InputError("the conversation does not end with an answer; training needs one")
        answers = [turn["content"] for turn in messages if turn["role"] == "assistant"]
        marked = _with_markers(messages)
        between = self._split(self.render(marked, video), len(answers))
        # The template may write a turn and the prompt for it differently; the last answer is learnt after the prompt.
        between[-2] = self._split(self.render(marked[:-1], video, prompt=True), len(answers) - 1)[-1]
        pieces: list[tuple[str, bool]] = [(between[0], False)]
        for answer, after in zip(answers, between[1:], strict=True):
            pieces += [(answer, True), (after, False)]
        return self._joined(pieces)

    def render(self, messages: Messages, video: bool, prompt: bool = False) -> str:
        """Return a conversation as text; the video stands before the first user turn's text."""
        conversation: list[dict[str, Any]] = [
            {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in messages
        ]
        if video:
            first = next(turn for turn in conversation if turn["role"] == "user")
            first["content"].insert(0, {"type": "video"})
        text: str = self.processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=prompt)
        return text

    def starts_bare(self, text: str) -> bool:
        """Whether the tokenizer must still put its own opening token before ``text``."""
        opening = self.tokenizer.bos_token
        return opening is None or not text.startswith(opening)

    def _split(self, text: str, answers: int) -> list[str]:
        pieces = []
        for index in range(answers):
            marker = _marker(index)
            if text.count(marker) != 1:
                raise InputError("the base's chat template does not write every answer out once; it cannot be trained")
            before, text = text.split(marker)
            pieces.append(before)
        return [*pieces, text]

    def _joined(self, pieces: Sequence[tuple[str, bool]]) -> Turns:
        """Tokenise pieces of text; the tokens that close an answer belong to it, up to its end-of-turn token."""
        ids: list[int] = []
        answer: list[bool] = []
        closing = False
        for index, (text, is_answer) in enumerate(pieces):
            opening = index == 0 and self.starts_bare(text)
            tokens = self.tokenizer(text, add_special_tokens=opening)["input_ids"]
            closed = self._closing(tokens) if closing else 0
            if closing and not closed:
                tokens, closed = [self.tokenizer.eos_token_id, *tokens], 1
            ids += tokens
            answer += [is_answer or place < closed for place in range(len(tokens))]
            closing = is_answer
        return Turns(torch.tensor(ids), torch.tensor(answer))

    def _closing(self, tokens: Sequence[int]) -> int:
        """Number of tokens up to and with the first special one; 0 if there is none."""
        return next((place + 1 for place, token in enumerate(tokens) if token in self.special_ids), 0)


def _marker(index: int) -> str:
    return f"[[answer {index} of this conversation]]"


def _with_markers(messages: Messages) -> list[dict[str, str]]:
    marked, count = [], 0
    for turn in messages:
        if turn["role"] == "assistant":
            turn = {**turn, "content": _marker(count)}
            count += 1
        marked.append(turn)
    return marked
