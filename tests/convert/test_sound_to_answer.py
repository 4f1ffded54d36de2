"""From the sound of a film to an answer: a released patch and the encoder that its features come from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave import PaveModel, SideChannel
from pave.checkpoint import read_preprocessing
from pave.cli import main
from pave.convert.base import convert_base
from pave.data.processor import PaveProcessor
from pave.encoders import build
from tests.convert.golden import BASE, GOLDEN, checkpoint, meta
from tests.encoders.published import imagebind_state, save_imagebind
from tests.media.writing import grey_frames, write_media

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")

QUESTION = "What makes the sound?"
TOKENS = 8
RATE = 44_100
SOUND_SEC = 5.5


@pytest.fixture(scope="module")
def side_dim() -> int:
    return int(meta()["sides"]["audio"]["temporal_aggregator_config"]["input_dim"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, side_dim: int) -> Path:
    """A base, weights of ImageBind's form, a film with sound and the same film without, and the converted patch."""
    folder = tmp_path_factory.mktemp("heard")
    tower = meta()["vision_siglip"]
    convert_base(BASE, folder / "base", vision_heads=tower["num_attention_heads"], image_size=tower["image_size"])
    weights = save_imagebind(folder / "imagebind_huge.pth", embedding=side_dim)
    frames = grey_frames(round(10 * SOUND_SEC), 64, 64)
    write_media(folder / "clip.mp4", frames, sound=chirp(), sample_rate=RATE)
    write_media(folder / "mute.mp4", frames)
    settings = folder / "imagebind.yaml"
    settings.write_text(f"type: imagebind\nweights: {weights}\nheads: 4\ndevice: cpu\n")
    converted = main(
        [
            *("convert", "reference", str(checkpoint("audio")), "--base", str(folder / "base")),
            *("--out", str(folder / "patch"), "--encoder", f"audio={settings}"),
        ]
    )
    assert converted == 0
    return folder


def chirp() -> np.ndarray:
    times_sec = np.arange(round(SOUND_SEC * RATE)) / RATE
    tone = 0.3 * np.sin(2 * math.pi * (200 + 400 * times_sec) * times_sec)
    noise = np.random.default_rng(0).normal(0, 0.02, (2, len(times_sec)))
    return (np.stack([tone, np.zeros_like(tone)]) + noise).astype(np.float32)


def asked(capsys: pytest.CaptureFixture[str], folder: Path, film: str) -> dict[str, Any]:
    words = ["--video", str(folder / film), "--question", QUESTION, "--max-new-tokens", str(TOKENS), "--json"]
    capsys.readouterr()
    assert main(["ask", *words, "--patch", str(folder / "patch")]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def heard(folder: Path) -> SideChannel:
    preprocessing = read_preprocessing(folder / "patch")
    assert preprocessing is not None and preprocessing.encoder is not None
    signal = build(preprocessing.encoder).encode(folder / "clip.mp4")
    assert signal is not None
    return signal


def test_sound_becomes_the_steps_that_the_reference_extracts(folder: Path, side_dim: int) -> None:
    signal = heard(folder)
    assert tuple(signal.values.shape) == (4, 1, side_dim), "one token a second, floor(5.5) - 1 of them"
    assert signal.times_sec.tolist() == [1.0, 2.0, 3.0, 4.0]
    scale = math.exp(imagebind_state(side_dim)["modality_postprocessors.audio.1.log_logit_scale"].item())
    assert signal.values.norm(dim=-1).flatten().tolist() == pytest.approx([scale] * 4, rel=1e-5)
    assert (signal.values[0] - signal.values[3]).abs().max() > 1e-3, "they hear what sounds then"


def test_the_answer_is_what_the_features_make_of_it(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    found = asked(capsys, folder, "clip.mp4")
    assert (found["patches"], found["absent"], found["frames"]) == (["audio"], [], 32)

    model = PaveModel.from_pretrained(folder / "patch")
    processor = PaveProcessor.from_model(model)
    inputs = processor(QUESTION, folder / "clip.mp4", {"audio": heard(folder)})
    ids = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    assert found["answer"] == processor.decode(ids, inputs["input_ids"].shape[1])[0]


def test_the_sound_decides_the_next_word(folder: Path) -> None:
    model = PaveModel.from_pretrained(folder / "patch")
    processor = PaveProcessor.from_model(model)
    signal = heard(folder)
    logits = []
    for side in (signal, SideChannel(-signal.values, signal.times_sec), None):
        with torch.no_grad():
            logits.append(model(**processor(QUESTION, folder / "clip.mp4", {"audio": side})).logits[0, -1])
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    assert (logits[0] - logits[2]).abs().max() > 1e-3


def test_a_mute_film_is_answered_without_the_channel(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    assert asked(capsys, folder, "mute.mp4")["absent"] == ["audio"]
    assert "no sound track" in caplog.text


def test_the_card_names_the_licence(folder: Path) -> None:
    card = (folder / "patch" / "README.md").read_text()
    assert "CC BY-NC-SA 4.0" in card and "non-commercial" in card


def test_an_encoder_of_another_width_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    weights = save_imagebind(folder / "wide.safetensors", embedding=40)
    (folder / "wide.yaml").write_text(f"type: imagebind\nweights: {weights}\nheads: 4\n")
    refused(capsys, folder, "audio=wide.yaml", "makes features of width 40, the patch reads 24")


def test_an_encoder_of_no_channel_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    refused(capsys, folder, "audoi=imagebind.yaml", "did you mean 'audio'?")


def refused(capsys: pytest.CaptureFixture[str], folder: Path, encoder: str, message: str) -> None:
    channel, _, file = encoder.partition("=")
    base, out = str(folder / "base"), folder / "refused"
    arguments = ["--base", base, "--out", str(out), "--encoder", f"{channel}={folder / file}"]
    assert main(["convert", "reference", str(checkpoint("audio")), *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and message in said[0]
    assert not out.exists()


def test_golden_weights_give_golden_features(tmp_path: Path) -> None:
    """The reduced weights of ImageBind that the reference's own code was run with, from sound in a film."""
    encoders = GOLDEN.parents[2] / "encoders" / "golden" / "imagebind_audio"
    if not encoders.is_dir():
        pytest.skip("the encoders' outputs are not beside this checkout")
    stored = load_file(encoders / "mel_b44k1_stereo.safetensors")
    sound = stored["pcm"].numpy().astype(np.float32) / 32768
    path = write_media(
        tmp_path / "film.mkv", grey_frames(22), sound=sound, sample_rate=44_100, audio_codec="pcm_s16le"
    )
    settings = {"weights": str(encoders / "model.safetensors"), "heads": 4, "device": "cpu"}
    encoder = build({"type": "imagebind", **settings})

    signal = encoder.encode(path)

    with torch.no_grad():
        wanted = encoder.module((stored["mel_reference"] + 4.268) / 9.138)
    assert signal is not None
    torch.testing.assert_close(signal.values[:, 0], wanted, atol=1e-4 * wanted.abs().max().item(), rtol=0)
