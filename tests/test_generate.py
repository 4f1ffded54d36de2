"""Everything that ``generate`` does, with patches chosen sample by sample."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
import torch
from transformers import TextIteratorStreamer
from transformers.generation.streamers import BaseStreamer

from tests.batches import BEAMS, GREEDY, Batch, logits, take_row
from tests.composed import EVERY_SET, channel_batch, composed
from tests.mixed_media import Row, ask
from tests.tiny import FAMILIES, make_model, make_tokenizer

LLAVA = FAMILIES[0]
MIXED = EVERY_SET[1:4]

BATCHES = {
    "text beside videos": [Row("what is on the left ?"), Row("what ?", videos=[4]), Row("yes")],
    "several videos in a sample": [Row("which ?", videos=[4, 4]), Row("what made the sound ?", videos=[4])],
    "images beside videos": [Row("what ?", images=1, videos=[4]), Row("is it red ?", images=2), Row("no", videos=[4])],
    "frame counts and sizes": [
        Row("what ?", videos=[4]),
        Row("and then ?", videos=[6, 6], width=112),
        Row("a", videos=[8]),
    ],
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def new_tokens(ids: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return ids[:, inputs["input_ids"].shape[1] :]


@pytest.mark.parametrize("kind", list(BATCHES))
def test_unlike_samples_of_a_batch(family: str, kind: str) -> None:
    """Logits, greedy and beam search of each sample are those that it gets alone."""
    base = make_model(family)
    base.config.image_grid_pinpoints = [[56, 56]]
    model, rows = composed(family, base=base), BATCHES[kind]
    together, alone = ask(model, family, rows)
    patches = [["audio", "depth"], ["views"], ["depth"]][: len(rows)]
    found = logits(model, together.inputs, **together.extras, patches=patches)
    start = 0
    for single, names in zip(alone, patches, strict=True):
        wanted = logits(model, single.inputs, **single.extras, patches=names)
        torch.testing.assert_close(found[start : start + len(wanted)], wanted, atol=2e-5, rtol=1e-5)
        start += len(wanted)
    for options in (GREEDY, BEAMS):
        ids = model.generate(**together.inputs, **together.extras, patches=patches, **options)
        for row, (single, names) in enumerate(zip(alone, patches, strict=True)):
            wanted = model.generate(**single.inputs, **single.extras, patches=names, **options)
            assert torch.equal(new_tokens(ids, together.inputs)[row], new_tokens(wanted, single.inputs)[0])


class TestOptions:
    """Each gives what plain greedy search does, where it must."""

    def greedy(self, family: str) -> tuple[Any, Batch, torch.Tensor]:
        model, batch = composed(family), channel_batch(family, 3)
        return model, batch, model.generate(**batch.inputs, **batch.extras, patches=MIXED, **GREEDY)

    @pytest.mark.parametrize(
        "options",
        [{"cache_implementation": "static"}, {"prefill_chunk_size": 7}, {"use_cache": False}],
        ids=["static cache", "chunked prefill", "no cache"],
    )
    def test_caches(self, family: str, options: dict[str, Any]) -> None:
        model, batch, wanted = self.greedy(family)
        assert torch.equal(model.generate(**batch.inputs, **batch.extras, patches=MIXED, **GREEDY, **options), wanted)

    def test_sampling_several_sequences(self, family: str) -> None:
        model, batch, wanted = self.greedy(family)
        options = {**GREEDY, "do_sample": True, "num_return_sequences": 3}
        sure = model.generate(**batch.inputs, **batch.extras, patches=MIXED, **options, top_k=1)
        assert torch.equal(sure, wanted.repeat_interleave(3, dim=0))
        drawn = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            drawn.append(model.generate(**batch.inputs, **batch.extras, patches=MIXED, **options))
        assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])

    def test_several_beams_are_returned(self, family: str) -> None:
        model, batch, _ = self.greedy(family)
        options = {**BEAMS, "num_return_sequences": 2}
        found = model.generate(**batch.inputs, **batch.extras, patches=MIXED, **options)
        for row, names in enumerate(MIXED):
            single = take_row(family, batch, row)
            wanted = model.generate(**single.inputs, **single.extras, patches=names, **options)
            assert torch.equal(
                new_tokens(found, batch.inputs)[2 * row : 2 * row + 2], new_tokens(wanted, single.inputs)
            )

    def test_scores_and_hidden_states_come_with_the_ids(self, family: str) -> None:
        model, batch, wanted = self.greedy(family)
        found = model.generate(
            **batch.inputs, **batch.extras, patches=MIXED, **GREEDY, return_dict_in_generate=True, output_scores=True
        )
        assert torch.equal(found.sequences, wanted) and len(found.scores) == GREEDY["max_new_tokens"]

    @pytest.mark.parametrize("names", [["audio"], ["audio", "depth", "views"]])
    def test_assisted_decoding(self, family: str, names: list[str]) -> None:
        model, whole = composed(family), channel_batch(family, 1)
        asked = {**take_row(family, whole, 0).inputs, **whole.extras, "patches": names, **GREEDY}
        wanted = model.generate(**asked)
        assert torch.equal(model.generate(**asked, prompt_lookup_num_tokens=3), wanted)
        assert torch.equal(model.generate(**asked, assistant_model=make_model(family, seed=5)), wanted)

    def test_streaming(self, family: str) -> None:
        model, batch = composed(family), channel_batch(family, 1)
        asked = {**batch.inputs, **batch.extras, "patches": ["depth", "audio"], **GREEDY}
        wanted = model.generate(**asked)

        class Ids(BaseStreamer):
            def __init__(self) -> None:
                self.parts: list[torch.Tensor] = []
                self.ended = False

            def put(self, value: torch.Tensor) -> None:
                self.parts.append(value.flatten())

            def end(self) -> None:
                self.ended = True

        streamer = Ids()
        model.generate(**asked, streamer=streamer)
        assert streamer.ended and torch.equal(torch.cat(streamer.parts), wanted[0])
        assert len(streamer.parts) == GREEDY["max_new_tokens"] + 1


def test_streaming_from_a_thread() -> None:
    model, batch = composed(LLAVA), channel_batch(LLAVA, 1)
    tokenizer = make_tokenizer(LLAVA)
    asked = {**batch.inputs, **batch.extras, "patches": ["audio"], **GREEDY}
    wanted = new_tokens(model.generate(**asked), batch.inputs)[0]
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    thread = Thread(target=model.generate, kwargs={**asked, "streamer": streamer})
    thread.start()
    text = "".join(streamer)
    thread.join()
    assert text == tokenizer.decode(wanted)
