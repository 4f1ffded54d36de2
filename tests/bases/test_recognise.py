"""Bases without a file: recognised where their call shows how tokens lie, refused elsewhere, registered by anyone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from transformers import PreTrainedModel

import pave.bases
from pave import InputError, PaveModel
from pave.bases import family_of
from pave.bases.recognise import RecognisedFrames, RecognisedGrid
from pave.bases.video_llama_3 import VideoLlama3
from pave.registry import Registry
from tests.batches import randomize
from tests.families.subject import Subject, patch_config
from tests.families.tiny import make_base


def stranger(name: str) -> PreTrainedModel:
    base = make_base(name)
    base.config.model_type = "stranger"
    return base


def with_patch(base: PreTrainedModel, name: str) -> Subject:
    model = PaveModel.from_base(base)
    model.add_patch("depth", patch_config(model.family, "depth"))
    randomize(model, "depth")
    return Subject(name, model)


@pytest.mark.parametrize(
    ("name", "kind"), [("exaone4_5", RecognisedGrid), ("llava_next_video", RecognisedFrames)], ids=["grid", "frames"]
)
def test_a_stranger_does_what_the_known_family_does(name: str, kind: type) -> None:
    known, recognised = with_patch(make_base(name), name), with_patch(stranger(name), name)
    assert type(recognised.family) is kind
    call = known.call("depth", known.samples())
    assert torch.equal(recognised.logits(**call), known.logits(**call))
    assert not torch.equal(recognised.logits(**call), recognised.logits(**{**call, "patches": []}))


@pytest.mark.parametrize(
    ("name", "message"),
    [("llava_onevision", "no squares, .* register a family"), ("ernie4_5_vl_moe", "lays its tokens out otherwise")],
)
def test_a_stranger_that_lays_its_tokens_out_otherwise_is_refused(name: str, message: str) -> None:
    subject = with_patch(stranger(name), name)
    with pytest.raises(InputError, match=message):
        subject.model(**subject.call("depth", subject.samples()))


def test_a_single_frame_is_not_safe_to_divide() -> None:
    subject = with_patch(stranger("llava_next_video"), "llava_next_video")
    call = subject.call("depth", subject.samples())
    with pytest.raises(InputError, match="of one frame a video"):
        subject.model.encode_videos({**call, "pixel_values_videos": call["pixel_values_videos"][:, :1]})


@pytest.mark.parametrize("name", ["molmo2", "internvl", "kimi_k25"])
def test_a_call_that_shows_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown base family 'stranger', .* register a family") as caught:
        PaveModel.from_base(stranger(name))
    assert "\n" not in str(caught.value)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    registry: Registry[type] = Registry("base family", "pave.bases.test", {"mine": VideoLlama3})
    monkeypatch.setattr(pave.bases, "registry", registry)
    yield "mine"


def test_anyone_can_register_a_family(mine: str) -> None:
    base = make_base("video_llama_3")
    base.config.model_type = mine
    assert isinstance(family_of(base.config), VideoLlama3)
    assert isinstance(PaveModel.from_base(base).family, VideoLlama3)


def test_of_a_model_that_talks_the_thinker_is_the_base() -> None:
    class Whole:
        model_type = "qwen2_5_omni"
        thinker_config = make_base("qwen2_5_omni").config

    assert type(family_of(Whole())).__name__ == "Qwen2_5Omni"  # type: ignore[arg-type]
