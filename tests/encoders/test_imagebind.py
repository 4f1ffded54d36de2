from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave.encoders import build, published
from pave.encoders.imagebind import ImageBindConfig, windows
from pave.encoders.imagebind_mel import filter_banks
from pave.errors import InputError
from tests.encoders.published import GOLDEN, assert_same_spectra, imagebind_state, save, save_imagebind
from tests.media.writing import click, grey_frames, write_media

RATE = 16_000
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")
IMAGEBIND = GOLDEN / "imagebind_audio"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_imagebind(tmp_path_factory.mktemp("weights") / "imagebind_huge.pth")


def encoder_of(weights, **settings):
    return build({"type": "imagebind", "weights": str(weights), "heads": 4, "device": "cpu", **settings})


def noise(duration_sec: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (channels, round(duration_sec * rate))).astype(np.float32)


def write_sound(path, sound, rate=RATE):
    return write_media(path, sound=sound, sample_rate=rate, audio_codec="pcm_f32le")


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert found.shape == wanted.shape
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@golden
class TestReference:
    def stages(self, encoder, pictures):
        network = encoder.module
        with torch.no_grad():
            tokens = network.modality_preprocessors["audio"](pictures)
            trunk = network.modality_trunks["audio"](tokens)
            head = network.modality_heads["audio"](trunk)
            return {"tokens": tokens, "trunk_out": trunk, "head_out": head, "output": network(pictures)}

    def test_every_stage_of_the_network(self):
        wanted = load_file(IMAGEBIND / "forward.safetensors")
        mel = load_file(IMAGEBIND / "mel_a16k_mono_dc.safetensors")["mel_reference"]
        found = self.stages(encoder_of(IMAGEBIND / "model.safetensors"), (mel[:2] + 4.268) / 9.138)

        for name, values in found.items():
            assert relative(values, wanted[name]) < 1e-5, name

    def test_small_variances(self, tmp_path):
        """A wrong epsilon in a norm shows here alone."""
        import json
        import re

        factors = json.loads((IMAGEBIND / "config.json").read_text())["eps_probe"]
        state = load_file(IMAGEBIND / "model.safetensors")
        for pattern, factor in factors.items():
            for name in state:
                if re.search(pattern, name):
                    state[name] = state[name] * factor
        wanted = load_file(IMAGEBIND / "eps_probe.safetensors")
        mel = load_file(IMAGEBIND / "mel_a16k_mono_dc.safetensors")["mel_reference"]

        found = self.stages(encoder_of(save(tmp_path / "small.pth", state)), (mel[:2] + 4.268) / 9.138)

        assert relative(found["tokens"][:, ::16], wanted["tokens_every_16"]) < 2e-5
        assert relative(found["trunk_out"][:, ::16], wanted["trunk_every_16"]) < 2e-5
        assert relative(found["head_out"], wanted["head_out"]) < 2e-5

    def test_means_that_are_carried_on(self):
        case = load_file(IMAGEBIND / "mel_a16k_mono_dc.safetensors")
        sound = case["pcm"][0].numpy().astype(np.float32) / 32768
        config = ImageBindConfig("unused", carry_means=True)

        clips = torch.from_numpy(np.stack(list(windows(iter(np.array_split(sound, 7)), config))))

        assert_same_spectra(filter_banks(clips), case["mel_reference"])

    def test_published_sizes(self):
        import json

        from pave.encoders.imagebind_model import outline

        shapes = json.loads((GOLDEN.parent / "fullsize_shapes.json").read_text())["imagebind_audio"]
        network = outline({name: tuple(shape) for name, shape in shapes.items()}, 12)

        assert {name: list(value.shape) for name, value in network.state_dict().items()} == shapes
        assert sum(weight.numel() for weight in network.parameters()) == 86_235_648


def test_a_token_a_second_at_the_centres_of_windows(weights, tmp_path):
    encoder = encoder_of(weights, batch_size=2)

    side = encoder.encode(write_sound(tmp_path / "a.wav", noise(5.9)))

    assert side.values.shape == (4, 1, 24) and side.times_sec.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (side.width, side.tokens) == (encoder.width, encoder.tokens)
    assert side.values.norm(dim=-1).flatten().tolist() == pytest.approx([20.0] * 4, rel=1e-5)


@pytest.mark.parametrize(
    ("duration_sec", "settings", "times_sec"),
    [
        (5.5, {"cover_end": True}, [1.0, 2.0, 3.0, 4.0, 5.0]),
        (5.0, {"cover_end": True}, [1.0, 2.0, 3.0, 4.0]),
        (4.0, {"hop_sec": 0.5}, [1.0, 1.5, 2.0, 2.5, 3.0]),
        (5.0, {"hop_sec": 2.0}, [1.0, 3.0]),
        (1.2, {}, [1.0]),
        (0.01, {}, [1.0]),
    ],
)
def test_windows(weights, tmp_path, duration_sec, settings, times_sec):
    side = encoder_of(weights, **settings).encode(write_sound(tmp_path / "a.wav", noise(duration_sec)))

    assert side.times_sec.tolist() == times_sec


def test_batches_change_nothing(weights, tmp_path):
    path = write_sound(tmp_path / "a.wav", noise(6.0))

    one, many = (encoder_of(weights, batch_size=size).encode(path).values for size in (1, 5))

    torch.testing.assert_close(one, many, atol=1e-4, rtol=0)


def test_the_first_channel_alone_is_heard(weights, tmp_path):
    stereo = noise(3.0, channels=2)
    mono = write_sound(tmp_path / "mono.wav", stereo[:1])

    found = encoder_of(weights).encode(write_sound(tmp_path / "stereo.wav", stereo))

    assert torch.equal(found.values, encoder_of(weights).encode(mono).values)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(("delay_sec", "offset_sec"), [(0.0, 0.0), (0.7, 0.0), (0.0, 1.1)])
def test_a_click_is_in_the_steps_that_cover_its_second(weights, tmp_path, rate, delay_sec, offset_sec):
    moved_sec = delay_sec + offset_sec
    path = write_media(
        tmp_path / "film.mp4",
        grey_frames(70, 16, 16),
        sound=click(3.2 - moved_sec, 7 - moved_sec, rate),
        sample_rate=rate,
        sound_start_sec=delay_sec,
    )

    side = encoder_of(weights, offset_sec=offset_sec).encode(path)

    unlike_silence = (side.values - side.values[-1]).abs().amax(dim=(1, 2)) > 0.1
    assert side.times_sec[unlike_silence].tolist() == [3.0, 4.0]


def test_long_sound_is_held_in_pieces(weights, tmp_path, monkeypatch):
    """No array that is made on the way is longer than a piece and a few windows."""
    encoder = encoder_of(weights, batch_size=4)
    held = []
    monkeypatch.setattr(np, "concatenate", _watched(np.concatenate, held))

    side = encoder.encode(write_sound(tmp_path / "long.wav", noise(120.0, 8_000), 8_000))

    assert side.steps == 119
    assert max(held) < 15 * RATE


def _watched(function, held):
    def watched(*arguments, **options):
        made = function(*arguments, **options)
        held.append(made.size)
        return made

    return watched


def test_no_track_is_none(weights, tmp_path):
    assert encoder_of(weights).encode(write_media(tmp_path / "silent.mp4", grey_frames(10))) is None


def test_half_precision_keeps_its_dtype(weights, tmp_path):
    path = write_sound(tmp_path / "a.wav", noise(3.0))
    full, half = (encoder_of(weights, dtype=dtype).encode(path).values for dtype in ("float32", "bfloat16"))

    assert half.dtype == torch.bfloat16
    assert relative(half.float(), full) < 0.05


def test_costs_and_identity(weights, tmp_path):
    encoder = encoder_of(weights)
    other = imagebind_state(seed=1)

    assert encoder.num_parameters == sum(value.numel() for value in imagebind_state().values()) - 1
    assert encoder.flops(11.0) == 10 * encoder.flops(2.0) > 10**6
    assert encoder.revision == encoder_of(save(tmp_path / "same.safetensors", imagebind_state())).revision
    assert encoder.revision != encoder_of(save(tmp_path / "other.pth", other)).revision


def test_the_licence_is_told_once(weights, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(published, "_told", set())
    path = write_sound(tmp_path / "a.wav", noise(2.0))
    with caplog.at_level(logging.WARNING):
        encoder_of(weights).encode(path)
        encoder_of(weights).encode(path)

    (told,) = [record.getMessage() for record in caplog.records if "imagebind" in record.getMessage()]
    assert "CC BY-NC-SA 4.0" in told and "non-commercial" in told


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hop_sec": 0.0}, r"hop_sec is 0\.0"),
        ({"hop_sec": 2.5}, r"hop_sec is 2\.5; it must be above 0, and 2 at most"),
        ({"heads": 0}, "heads is 0"),
        ({"heads": 5}, "width 32 of the weights does not divide into 5 heads"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"offset_sec": float("inf")}, "offset_sec is inf"),
        ({"device": "toaster"}, "device 'toaster' is none"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"weights": "nowhere.pth"}, "nowhere.pth: no such file"),
    ],
)
def test_settings_out_of_range(weights, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        encoder_of(**{"weights": weights, **settings})
    assert "\n" not in str(caught.value)
