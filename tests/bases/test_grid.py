"""The grid layout in a batch as it really comes: videos of different lengths, rows with none or two, left padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pave import PaveModel
from pave.types import VideoTokens
from tests.batches import BEAMS, GREEDY, patched, side_channel
from tests.tiny import PAD, VIDEO, make_model

LENGTHS = (3, 5, 2, 4)
TEXTS = ([[20], [30, 31]], [[21, 22], [33]], [[20, 25, 26, 27]], [[24], [30], [31, 32, 33, 34]])
"""Pieces of each row; a video stands between two pieces, so the rows have one, one, none and two."""

SEVERAL = {**BEAMS, "num_return_sequences": 2}


@pytest.fixture(scope="module")
def model() -> PaveModel:
    return patched(make_model("llava_onevision"), layout="grid")


@pytest.fixture(scope="module")
def videos(model: PaveModel) -> list[VideoTokens]:
    generator = torch.Generator().manual_seed(0)
    encoded = []
    for steps in LENGTHS:
        pixels = torch.randn(1, steps, 3, 56, 56, generator=generator)
        encoded += model.encode_videos({"pixel_values_videos": pixels}, [0.5 + torch.arange(steps)])
    return encoded


def row_ids(row: int, videos: list[VideoTokens]) -> list[int]:
    first = sum(len(pieces) - 1 for pieces in TEXTS[:row])
    ids = list(TEXTS[row][0])
    for offset, piece in enumerate(TEXTS[row][1:]):
        ids += [VIDEO] * (videos[first + offset].tokens.shape[0] * 2 * 3) + piece
    return ids


def batch_of(rows: list[int], videos: list[VideoTokens]) -> dict[str, Any]:
    texts = [row_ids(row, videos) for row in rows]
    width = max(map(len, texts))
    ids = torch.tensor([[PAD] * (width - len(text)) + text for text in texts])
    owners = [row for row, pieces in enumerate(TEXTS) for _ in pieces[1:]]
    kept = [index for index, owner in enumerate(owners) if owner in rows]
    signals = [None if index == 1 else side_channel(seed=index, steps=3 + index, tokens=2) for index in kept]
    inputs = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    return {**inputs, "videos": [videos[index] for index in kept], "side": {"audio": signals}} if kept else inputs


def answers(model: PaveModel, rows: list[int], videos: list[VideoTokens], settings: dict[str, Any]) -> Tensor:
    batch = batch_of(rows, videos)
    return model.generate(**batch, **settings)[:, batch["input_ids"].shape[1] :]


@pytest.mark.parametrize("settings", [GREEDY, BEAMS, SEVERAL], ids=["greedy", "beams", "several"])
def test_batch_answers_as_its_rows_do(model: PaveModel, videos: list[VideoTokens], settings: dict[str, Any]) -> None:
    together = answers(model, [0, 1, 2, 3], videos, settings)
    alone = [answers(model, [row], videos, settings) for row in range(4)]
    assert torch.equal(together, torch.cat(alone))
    assert len({tuple(ids.tolist()) for ids in together}) > 2


def test_logits_do_not_depend_on_the_neighbours(model: PaveModel, videos: list[VideoTokens]) -> None:
    batch = batch_of([0, 1, 2, 3], videos)
    with torch.no_grad():
        together = model(**batch).logits
        for row in range(4):
            alone = model(**batch_of([row], videos)).logits[0]
            torch.testing.assert_close(together[row, -len(alone) :], alone, atol=1e-4, rtol=1e-4)


def test_residual_is_added_before_the_newlines(model: PaveModel, videos: list[VideoTokens]) -> None:
    """What the language model is given: tokens and residual, row by row, each row closed by the plain newline."""
    seen: dict[str, Tensor] = {}
    language_model = model.base.model.language_model
    handle = language_model.register_forward_pre_hook(lambda _, __, given: seen.update(given), with_kwargs=True)
    batch = batch_of([0], videos)
    with torch.no_grad():
        model(**batch)
        residual = model.patches["audio"]([videos[0].tokens], batch["side"]["audio"], [videos[0].times_sec])[0]
    handle.remove()
    rows = seen["inputs_embeds"][0, 1:-2].view(LENGTHS[0], 2, 3, -1)
    torch.testing.assert_close(rows[:, :, :2].flatten(1, 2), videos[0].tokens + residual)
    assert torch.equal(rows[:, :, 2], model.base.model.image_newline.expand(LENGTHS[0], 2, -1))


def test_chunked_prefill_answers_the_same(model: PaveModel, videos: list[VideoTokens]) -> None:
    whole = answers(model, [0, 1], videos, GREEDY)
    assert torch.equal(answers(model, [0, 1], videos, {**GREEDY, "prefill_chunk_size": 7}), whole)


def test_native_layout_repeats_videos_of_different_lengths(videos: list[VideoTokens]) -> None:
    model = patched(make_model("llava_onevision"), layout="native")
    texts = [[20, *[VIDEO] * (steps * 4 + 1), 30 + steps] for steps in LENGTHS[:2]]
    width = max(map(len, texts))
    ids = torch.tensor([[PAD] * (width - len(text)) + text for text in texts])
    side = {"audio": [side_channel(seed=index, tokens=2) for index in range(2)]}
    batch = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    together = model.generate(**batch, videos=videos[:2], side=side, **BEAMS)
    for row in range(2):
        alone = model.generate(
            input_ids=torch.tensor([texts[row]]),
            videos=[videos[row]],
            side={"audio": [side["audio"][row]]},
            **BEAMS,
        )
        assert torch.equal(together[row, width:], alone[0, len(texts[row]) :])
