"""The silent traps of single families, each of which a wrong container, input or type would spring."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pave import InputError, PaveModel
from pave.cost import Scene, count_base
from tests.batches import randomize
from tests.families.subject import BEAMS, Subject, make_subject, patch_config
from tests.families.tiny import Row, batch, longer, make_base, rows

RAGGED = ("llava_next_video", "llava_onevision", "perception_lm", "video_llava")


def make_model(name: str, dtype: torch.dtype = torch.float32) -> PaveModel:
    model = PaveModel.from_base(make_base(name).to(dtype))
    model.add_patch("audio", patch_config(model.family, "audio"))
    randomize(model, "audio")
    return model


@pytest.mark.parametrize("name", RAGGED)
def test_videos_of_different_frame_counts_share_a_batch(name: str) -> None:
    """Greedy and with beams, although the base itself takes one count a call, and a flat container misleads beams."""
    model = make_model(name)
    samples = [rows(name)[0], longer(name, model.family.placeholder_id, model.family.lead)]
    subject = Subject(name, model)
    inputs = batch([Row(sample.tokens, {}, sample.videos) for sample in samples])
    inputs["pixel_values_videos"] = [sample.media["pixel_values_videos"] for sample in samples]  # type: ignore[assignment]
    given = {"side": subject.side("audio", samples), "video_times_sec": subject.times(samples)}
    assert model.family.must_encode(inputs)
    for settings in ({**BEAMS, "num_beams": 1}, BEAMS, {**BEAMS, "num_return_sequences": 2}):
        together = model.generate(**inputs, **given, **settings)
        alone = [model.generate(**subject.call("audio", [sample]), **settings)[:, -4:] for sample in samples]
        assert torch.equal(together[:, -4:], torch.cat(alone))
    assert model(**inputs).logits.shape[0] == 2


def test_tokens_are_cast_for_a_base_that_does_not() -> None:
    """Molmo 2 in bfloat16, with video tokens that were kept in float32."""
    model = make_model("molmo2", torch.bfloat16)
    subject = Subject("molmo2", model)
    call = subject.call("audio", subject.samples())
    call["pixel_values_videos"] = call["pixel_values_videos"].to(torch.bfloat16)
    videos = [video.cast(torch.float32) for video in model.encode_videos(call, call.pop("video_times_sec"))]
    del call["pixel_values_videos"]
    assert model(**call, videos=videos).logits.dtype == torch.bfloat16


def test_features_for_the_first_layers_stay_as_they_are() -> None:
    """Deepstack, in the language model's own hands, with a patch and after a detour over stored videos."""
    model = make_model("qwen3_vl")
    subject = Subject("qwen3_vl", model)
    call = subject.call("audio", subject.samples())
    core = model.base.base_model
    wanted = core.get_video_features(call["pixel_values_videos"], call["video_grid_thw"]).deepstack_features
    seen: dict[str, list[Tensor]] = {}
    language_model = model.base.get_submodule(model.family.language_model)
    language_model.register_forward_pre_hook(
        lambda _, __, given: seen.update(found=given["deepstack_visual_embeds"]), with_kwargs=True
    )
    model(**call)
    for found, layer in zip(seen["found"], wanted, strict=True):
        torch.testing.assert_close(found, torch.cat(list(layer)))


def test_tokens_that_the_base_drops_were_patched_before() -> None:
    """VideoLLaMA3 drops tokens after the seam; what remains are the patched ones of the full grid."""
    subject = make_subject("video_llama_3")
    samples = subject.samples("multi")
    call = subject.call("audio", samples)
    seen: dict[str, Tensor] = {}
    language_model = subject.model.base.get_submodule(subject.family.language_model)
    language_model.register_forward_pre_hook(
        lambda _, __, given: seen.update(found=given["inputs_embeds"]), with_kwargs=True
    )
    subject.model(**call)
    videos = subject.model.encode_videos(call, call["video_times_sec"])
    patch = subject.model.patches["audio"]
    residuals = patch([video.vision for video in videos], call["side"]["audio"], [video.times_sec for video in videos])
    patched = [video.tokens + residual for video, residual in zip(videos, residuals, strict=True)]
    every = torch.cat([tokens.flatten(0, 1) for tokens in patched])
    places = call["input_ids"] == subject.family.placeholder_id
    torch.testing.assert_close(seen["found"][places], every[call["video_compression_mask"]])
    with pytest.raises(InputError, match="video_compression_mask has 3 entries"):
        subject.model(**{**call, "video_compression_mask": torch.ones(3, dtype=torch.bool)})


def test_frames_of_zeros_do_not_shift_the_others() -> None:
    """SmolVLM takes a black frame for padding; the times tell that one is gone."""
    model = make_model("smolvlm")
    subject = Subject("smolvlm", model)
    call = subject.call("audio", subject.samples()[:1])
    call["pixel_values"][0, 1] = 0
    with pytest.raises(InputError, match="drops frames that are zero throughout"):
        model(**call)


def test_frames_are_packed_within_a_video() -> None:
    """Nemotron-H packs frames two by two, of an odd number the last alone; a video may be wider than high."""
    model = make_model("nemotron_h_omni")
    subject = Subject("nemotron_h_omni", model)
    first, second = (sample.media["pixel_values_videos"] for sample in subject.samples())
    call = {"pixel_values_videos": [first, torch.cat([second, second.flip(-1)], dim=-1)[0, :2]]}
    videos = model.encode_videos(call, [torch.arange(6.0), torch.arange(3.0)])
    assert [video.times_sec.tolist() for video in videos] == [[0.5, 2.5, 4.5], [0.5, 2.0]]
    assert [video.grid for video in videos] == [(2, 2), (2, 4)]
    assert videos[1].vision is not None and videos[1].vision.shape[:2] == (2, 8)
    frames = {"pixel_values_videos": first.unflatten(2, (2, 3)).flatten(0, 2)}
    with pytest.raises(InputError, match="packs 2 frames a step .* transformers>=5.24"):
        model.encode_videos(frames, [torch.arange(6.0)])


def test_a_release_that_fails_at_videos_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nemotron-H before transformers 5.24."""
    base = make_base("nemotron_h_omni")
    monkeypatch.setattr("transformers.__version__", "5.23.0")
    with pytest.raises(InputError, match="fail at videos in transformers 5.23.0; install transformers>=5.24"):
        PaveModel.from_base(base)
    with pytest.raises(InputError, match="install transformers>=5.24"):
        count_base(base, Scene(frames=4))


def test_an_image_beside_videos_is_a_video_of_one_frame() -> None:
    """InternVL shows frames as images, and its inputs do not tell them apart."""
    model = make_model("internvl")
    subject = Subject("internvl", model)
    call = subject.call("audio", subject.samples())
    times = [torch.arange(3.0), torch.arange(1.0), torch.zeros(1)]
    side = {"audio": [*call["side"]["audio"], None]}
    model(**{**call, "video_times_sec": times, "side": side})
    with pytest.raises(InputError, match="give one time a frame, and an image beside videos as a video of one frame"):
        model(**{**call, "video_times_sec": times[:2]})


def test_sound_of_the_base_goes_its_own_way() -> None:
    """A thinker hears through its own ears beside a patch: other sound, other words, with the patch and without."""
    model = make_model("qwen2_5_omni")
    subject = Subject("qwen2_5_omni", model)
    sample = rows("qwen2_5_omni")[1]
    config = model.config
    heard = torch.tensor([config.audio_start_token_id, *[config.audio_token_id] * 4, config.audio_end_token_id])
    ids = torch.cat([heard, sample.tokens["input_ids"]])
    with_sound = Row({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, sample.media, sample.videos)
    bins = config.audio_config.num_mel_bins
    sounds = [torch.randn(1, bins, 16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    mask = torch.ones(1, 16, dtype=torch.long)
    call = subject.call("audio", [with_sound])
    found = [subject.logits(**call, input_features=sound, feature_attention_mask=mask) for sound in sounds]
    assert not torch.allclose(*found, atol=1e-4)
    plain = subject.logits(**{**call, "patches": []}, input_features=sounds[0], feature_attention_mask=mask)
    assert not torch.allclose(plain, found[0], atol=1e-4)
    silent = {**call, "side": {"audio": [None]}}
    assert torch.equal(subject.logits(**silent, input_features=sounds[0], feature_attention_mask=mask), plain)
