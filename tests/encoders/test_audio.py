from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from pave.encoders import build
from pave.errors import InputError
from tests.encoders.models import BUILDERS, RATE, save_tiny_model
from tests.media.writing import click, grey_frames, write_media


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny_model(name, folder / name) for name in BUILDERS}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE)).astype(np.float32)
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    return write_media(path, sound=samples, sample_rate=RATE, audio_codec="pcm_s16le")


def encoder_of(folder, **settings):
    return build(
        {"type": "audio", "model": str(folder), "window_sec": 1.0, "hop_sec": 0.5, "device": "cpu", **settings}
    )


GRIDS = {"ast": (4, 12), "clap": (4, 16), "clap_fusion": (4, 16), "wav2vec2_bert": (1, 49)}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_family_gives_its_tokens_at_the_centres_of_windows(models, sound, name):
    encoder = encoder_of(models[name], pooling="none")

    side = encoder.encode(sound)

    assert side.times_sec.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert side.grid == GRIDS.get(name, (1, 50)), "tokens of the window's second, none of padding"
    assert (side.width, side.tokens) == (encoder.width, encoder.tokens)
    assert side.values.std() > 0.01


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_mean_is_over_those_tokens(models, sound, name):
    tokens = encoder_of(models[name], pooling="none").encode(sound)
    encoder = encoder_of(models[name])

    pooled = encoder.encode(sound)

    assert torch.allclose(pooled.values, tokens.values.mean(1, keepdim=True), atol=1e-5)
    assert encoder.tokens == 1 and pooled.grid == (1, 1)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_batches_and_repeats_change_nothing(models, sound, name):
    one = encoder_of(models[name], batch_size=1).encode(sound)
    many = encoder_of(models[name], batch_size=5)

    first, second = many.encode(sound), many.encode(sound)

    assert torch.equal(first.values, second.values)
    assert torch.allclose(first.values, one.values, atol=1e-5)


def test_whisper_sees_no_padding_in_its_mean(models, sound):
    encoder = encoder_of(models["whisper"])
    model = transformers.WhisperModel.from_pretrained(models["whisper"]).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(models["whisper"])
    samples = _samples(sound)[:RATE]
    with torch.no_grad():
        features = extractor(samples, sampling_rate=RATE, return_tensors="pt")
        hidden = model.encoder(features["input_features"]).last_hidden_state

    assert torch.allclose(encoder.encode(sound).values[0, 0], hidden[0, :50].mean(0), atol=1e-5)


def test_wav2vec2_is_transformers_own(models, sound):
    model = transformers.Wav2Vec2Model.from_pretrained(models["wav2vec2"]).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(models["wav2vec2"])
    with torch.no_grad():
        features = extractor(_samples(sound)[RATE // 2 :][:RATE], sampling_rate=RATE, return_tensors="pt")
        hidden = model(features["input_values"]).last_hidden_state

    assert torch.allclose(encoder_of(models["wav2vec2"], pooling="none").encode(sound).values[1], hidden[0], atol=1e-5)


def test_the_click_is_in_the_step_that_covers_it(models, tmp_path):
    path = write_media(
        tmp_path / "film.mp4",
        grey_frames(60, 16, 16),
        sound=click(3.2 - 0.7, 5.3, 44_100),
        sample_rate=44_100,
        sound_start_sec=0.7,
    )
    side = encoder_of(models["hubert"], window_sec=0.5).encode(path)

    unlike_silence = (side.values - side.values[0]).abs().amax(dim=(1, 2)) > 0.05
    assert side.times_sec[unlike_silence].tolist() == [3.25]


def test_costs_and_identity(models, tmp_path):
    encoder = encoder_of(models["wavlm"])
    whole = transformers.WavLMModel.from_pretrained(models["wavlm"])

    assert encoder.num_parameters == whole.num_parameters()
    assert not any(weight.requires_grad for weight in encoder._family.module.parameters())
    assert encoder.flops(10.0) == 19 * encoder.flops(1.0) > 0
    assert encoder.revision == encoder_of(models["wavlm"]).revision
    assert encoder.revision != encoder_of(save_tiny_model("wavlm", tmp_path / "other", seed=1)).revision


def test_half_precision_keeps_its_dtype(models, sound):
    full = encoder_of(models["wav2vec2"]).encode(sound)
    half = encoder_of(models["wav2vec2"], dtype="bfloat16").encode(sound)

    assert half.values.dtype == torch.bfloat16
    assert torch.allclose(half.values.float(), full.values, atol=0.1)


def test_no_track_is_none(models, tmp_path):
    path = write_media(tmp_path / "silent.mp4", grey_frames(10))
    assert encoder_of(models["ast"]).encode(path) is None


def test_nan_names_the_file(models, sound):
    encoder = encoder_of(models["hubert"])
    with torch.no_grad():
        for weight in encoder._family.module.parameters():
            weight.fill_(float("nan"))

    with pytest.raises(InputError, match=r"noise\.wav: side channel: values hold NaN"):
        encoder.encode(sound)


def test_a_checkpoint_that_lacks_weights_is_refused(models, sound, tmp_path):
    from safetensors.torch import load_file, save_file

    save_tiny_model("wav2vec2", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    gone = "encoder.layers.0.attention.k_proj.weight"
    save_file({name: value for name, value in weights.items() if name != gone}, tmp_path / "model.safetensors")

    with pytest.raises(InputError, match=f"lacks 1 weights, first {gone}"):
        encoder_of(tmp_path).encode(sound)
    save_file(weights | {gone: torch.zeros(3, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        encoder_of(tmp_path).encode(sound)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="cannot be read"):
        encoder_of(tmp_path).encode(sound)


def test_windows_longer_than_the_model_takes(models):
    for name in ("ast", "clap", "whisper"):
        with pytest.raises(InputError, match=r"window_sec is 60\.0, .* at most; shorten it"):
            encoder_of(models[name], window_sec=60.0)


def test_models_that_are_none(tmp_path, models):
    with pytest.raises(InputError, match="cannot be read") as error:
        encoder_of(tmp_path / "nowhere")
    assert "\n" not in str(error.value)
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is of type 'bert'; known: audio-spectrogram-transformer, clap"):
        encoder_of(tmp_path)
    with pytest.raises(InputError, match=r"pooling is 'max'; choose from 'mean', 'none'"):
        encoder_of(models["ast"], pooling="max")
    with pytest.raises(InputError, match="device 'toaster' is none"):
        encoder_of(models["ast"], device="toaster")
    with pytest.raises(InputError, match="batch_size is 0"):
        encoder_of(models["ast"], batch_size=0)


def _samples(path) -> np.ndarray:
    import soundfile

    return soundfile.read(path, dtype="float32")[0]


def test_fused_attention_is_counted(models):
    fused, plain = encoder_of(models["ast"]), encoder_of(models["ast"])
    plain._family.module.set_attn_implementation("eager")

    assert fused.flops(1.0) == plain.flops(1.0)
