"""Room for more tokens after each video of a batch, and the way from the longer rows back to the caller's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import ModelOutput

from pave.errors import InputError
from pave.types import VideoTokens

NEW, PADDING = -1, -2
"""What stands in :attr:`Lengthened.origin` for a token that was not there before."""

OF_NEW_TOKENS = {"attention_mask": 1, "labels": -100, "mm_token_type_ids": 0, "token_type_ids": 0}
"""What a new token gets in inputs with one entry a token: seen, not learnt, placed as text is."""

OF_PADDING = {**OF_NEW_TOKENS, "attention_mask": 0}

LENGTHS = ("max_length", "min_length")
"""Settings of ``generate`` that count the prompt."""


@dataclass(frozen=True)
class Lengthened:
    """Where the tokens of longer rows come from.

    Args:
        origin: For each token of the longer rows (B,M) its place in the caller's row, or one of the marks above.
        places: For each token of the caller's rows (B,L) its place in the longer row; 0 for padding that went.
    """

    origin: Tensor
    places: Tensor

    def fill(self, inputs: Mapping[str, Any], placeholder: int) -> dict[str, Any]:
        """Return the inputs of a batch with all that has one entry a token made longer.

        Args:
            inputs: The caller's.
            placeholder: Token id of the new places.

        Raises:
            InputError: If an input has one entry a token, and nothing says which a new token gets.
        """
        ids = inputs["input_ids"]
        given = {"attention_mask": torch.ones_like(ids), **{k: v for k, v in inputs.items() if v is not None}}
        longer = dict(given)
        for name, value in given.items():
            if name == "input_ids":
                longer[name] = self._spread(value, placeholder, 0)
            elif isinstance(value, Tensor) and value.shape[:2] == ids.shape or name == "position_ids":
                if name not in OF_NEW_TOKENS or value.ndim != 2:
                    raise InputError(f"{name} cannot be given beside a patch that appends tokens; leave it out")
                longer[name] = self._spread(value, OF_NEW_TOKENS[name], OF_PADDING[name])
            elif name in LENGTHS:
                longer[name] = value + self._added(ids)
            elif name == "generation_config":
                longer[name] = copy.deepcopy(value)
                lengths = {limit: getattr(value, limit) for limit in LENGTHS if getattr(value, limit) is not None}
                longer[name].update(**{limit: length + self._added(ids) for limit, length in lengths.items()})
        return longer

    def _added(self, ids: Tensor) -> int:
        return self.origin.shape[1] - ids.shape[1]

    def _spread(self, values: Tensor, new: int, padding: int) -> Tensor:
        origin = self.origin.to(values.device)
        spread = values.gather(1, origin.clamp(min=0))
        return spread.masked_fill(origin == NEW, new).masked_fill(origin == PADDING, padding)

    def shorten(self, output: ModelOutput) -> ModelOutput:
        """Put the logits at the caller's tokens; caches and hidden states keep the new ones."""
        logits: Tensor | None = output["logits"]
        if logits is not None and logits.shape[1] == self.origin.shape[1]:
            rows = torch.arange(len(logits), device=logits.device).unsqueeze(1)
            output["logits"] = logits[rows, self.places.to(logits.device)]
        return output

    def restored(self, said: Tensor | ModelOutput, prompt: Tensor) -> Tensor | ModelOutput:
        """Return what was generated with the caller's prompt (B,L) in place of the longer one."""
        if isinstance(said, Tensor):
            return self._restored(said, prompt)
        said["sequences"] = self._restored(said["sequences"], prompt)
        return said

    def _restored(self, said: Tensor, prompt: Tensor) -> Tensor:
        own = prompt.repeat_interleave(len(said) // len(prompt), dim=0)
        return torch.cat([own.to(said.device), said[:, self.origin.shape[1] :]], dim=1)


def lengthen(places: Tensor, mask: Tensor | None, videos: Sequence[VideoTokens], sizes: Sequence[int]) -> Lengthened:
    """Put the places of appended tokens after the last placeholder of each video.

    Rows are padded anew, at the side where the caller padded, or at the left.

    Args:
        places: Where the placeholders stand (B,L).
        mask: Attention mask (B,L), or ``None`` where nothing is padded.
        videos: The videos of the batch, placed in its rows.
        sizes: Placeholders of each.

    Raises:
        InputError: If the attention mask is none of rows.
    """
    if mask is not None and mask.shape != places.shape:
        raise InputError(f"attention_mask has shape {tuple(mask.shape)} for input_ids {tuple(places.shape)}")
    shown = torch.ones_like(places) if mask is None else mask.bool()
    at_right = not bool(shown[:, -1].all())
    rows = []
    for row, marks in enumerate(places):
        own = [(size, video.appended) for size, video in zip(sizes, videos, strict=True) if video.row == row]
        rows.append(_origin(marks, shown[row], own, at_right))
    length = max(map(len, rows))
    origin = torch.full((len(rows), length), PADDING)
    back = torch.zeros(places.shape, dtype=torch.long)
    for row, own_origin in enumerate(rows):
        start = 0 if at_right else length - len(own_origin)
        origin[row, start : start + len(own_origin)] = own_origin
        old = own_origin >= 0
        back[row, own_origin[old]] = old.nonzero().flatten() + start
    return Lengthened(origin, back)


def _origin(marks: Tensor, shown: Tensor, videos: Sequence[tuple[int, Tensor | None]], at_right: bool) -> Tensor:
    """Return the origins of one row's tokens, without its padding."""
    seen = shown.nonzero().flatten().tolist()
    first, last = (0, seen[-1] + 1) if at_right else (seen[0], len(shown))
    stands = marks.nonzero().flatten().tolist()
    parts, start, count = [], first, 0
    for size, appended in videos:
        count += size
        if appended is not None:
            stop = stands[count - 1] + 1
            parts += [torch.arange(start, stop), torch.full((len(appended),), NEW)]
            start = stop
    return torch.cat([*parts, torch.arange(start, last)])
