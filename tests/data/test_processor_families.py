"""PaveProcessor on the processors of other families: what the base itself takes, and a batch as its samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pave import PaveModel
from pave.data.features import Features
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.media.video import Frames
from tests.batches import randomize
from tests.families.processors import PARTS, make_processor
from tests.families.subject import Subject, patch_config
from tests.families.tiny import make_base

QUESTIONS = ("what made the sound ?", "which colour is it ?")


def frames(count: int, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 56, 56, 3), dtype=np.uint8)
    return Frames(pixels, (np.arange(count) + 0.5) * 0.5)


def logits(model: PaveModel, asked: Any, inputs: dict[str, Any]) -> Tensor:
    if hasattr(model.base.base_model, "rope_deltas"):
        model.base.base_model.rope_deltas = None
    with torch.no_grad():
        found: Tensor = asked(**inputs).logits
    return found[inputs["attention_mask"].bool()]


@pytest.mark.parametrize("name", PARTS)
def test_a_batch_of_unlike_videos_is_told_what_its_samples_are(name: str) -> None:
    model = PaveModel.from_base(make_base(name))
    processor = PaveProcessor(make_processor(name), model.family, "native", frames=4)
    alone = processor(QUESTIONS[0], frames(4))
    stock = {field: value for field, value in alone.items() if field not in ("side", "video_times_sec")}
    assert torch.equal(logits(model, model, alone), logits(model, model.base, stock))

    model.add_patch("audio", patch_config(model.family, "audio"))
    randomize(model, "audio")
    signals = Subject(name, model)
    samples = []
    for seed, (question, count) in enumerate(zip(QUESTIONS, (4, 6), strict=True)):
        turns = processor.tokenise([{"role": "user", "content": question}], True, answer=False)
        samples.append(processor.features(turns, processor.prepare_video(frames(count, seed))))
    side = signals.side("audio", signals.samples())["audio"]
    samples = [
        Features(sample.tokens, sample.video, None, {"audio": signal})
        for sample, signal in zip(samples, side, strict=True)
    ]
    collate = processor.collator("left", ["audio"])
    each = torch.cat([logits(model, model, collate([sample])) for sample in samples])
    torch.testing.assert_close(logits(model, model, collate(samples)), each, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(each[: len(samples[0].tokens["input_ids"])], logits(model, model.base, stock), atol=1e-3)


@pytest.mark.parametrize("name", ["glm4v", "internvl"])
def test_neither_of_two_video_tokens_may_stand_in_the_text(name: str) -> None:
    """The token that the template writes, and the one at the places of video tokens."""
    model = PaveModel.from_base(make_base(name))
    processor = PaveProcessor(make_processor(name), model.family, "native", frames=4)
    assert processor.video_id != model.family.placeholder_id
    tokenizer = processor.base_processor.tokenizer
    for index in (processor.video_id, model.family.placeholder_id):
        text = f"what made {tokenizer.convert_ids_to_tokens(index)} ?"
        for video in (True, False):
            with pytest.raises(InputError, match="holds the base's video placeholder"):
                processor.tokenise([{"role": "user", "content": text}], video, answer=False)
