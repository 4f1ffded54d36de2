"""``pave ask`` answers about files that nobody prepared for it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pave import LoraSpec, PaveModel, Preprocessing
from pave.blindspot.film import FilmFormat, write_mp4
from pave.blindspot.render import render
from pave.blindspot.sounds import soundtrack
from pave.blindspot.tracks import TRACKS
from pave.cli import main
from tests.batches import patch_config, randomize
from tests.cli import calls
from tests.media.writing import click, grey_frames, write_media
from tests.tiny import FAMILIES, base_folder

ENCODER = {"type": "log_mel", "mels": 4, "frames_per_step": 2, "window_sec": 0.5, "hop_sec": 0.25}
QUESTION = "what made the sound ?"

refused = partial(calls.refused, "ask")


@pytest.fixture(scope="module", params=FAMILIES)
def patch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch that hears, with random weights, on either family."""
    model = PaveModel.from_base(base_folder(request.param))
    model.add_patch("audio", patch_config(), LoraSpec(r=4), Preprocessing(4, ENCODER))
    randomize(model, "audio")
    folder = tmp_path_factory.mktemp("patches") / "audio"
    model.save_patch("audio", folder)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_media(tmp_path / "clip.mp4", grey_frames(30, 72, 96), fps=10, sound=click(1.0, 3.0, 22_050))


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["ask", "--question", QUESTION, "--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_reads_the_sound_of_the_video_itself(capsys: pytest.CaptureFixture[str], patch: Path, clip: Path) -> None:
    result = answered(capsys, "--video", clip, "--patch", patch)
    assert result["absent"] == [] and result["patches"] == ["audio"] and result["frames"] == 4
    assert main(["ask", "--question", QUESTION, "--video", str(clip), "--patch", str(patch)]) == 0
    assert capsys.readouterr().out.strip() == result["answer"]


def test_sound_of_another_file(capsys: pytest.CaptureFixture[str], patch: Path, clip: Path, tmp_path: Path) -> None:
    other = write_media(
        tmp_path / "other.wav", sound=click(2.0, 3.0, 8_000), sample_rate=8_000, audio_codec="pcm_s16le"
    )
    by_audio = answered(capsys, "--video", clip, "--patch", patch, "--audio", other)
    assert by_audio == answered(capsys, "--video", clip, "--patch", patch, "--side", f"audio={other}")


def test_without_sound_it_says_so_once_and_answers_as_the_base(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, patch: Path, tmp_path: Path
) -> None:
    silent = write_media(tmp_path / "silent.mp4", grey_frames(30), fps=10)
    with caplog.at_level(logging.WARNING, "pave.data.side"):
        patched = answered(capsys, "--video", silent, "--patch", patch)
    assert patched["absent"] == ["audio"]
    assert len([record for record in caplog.records if "holds no audio" in record.getMessage()]) == 1
    base = answered(capsys, "--video", silent, "--base", PaveModel.from_pretrained(patch).record.name, "--frames", 4)
    assert patched["answer"] == base["answer"]
    assert base["patches"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_come_from_the_video_and_views_from_other_files(
    capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path, family: str
) -> None:
    model = PaveModel.from_base(base_folder(family))
    width = model.family.vision_dim
    for channel, settings in (("frames", {"frame_rate": 10.0}), ("views", {"identity": 2})):
        config = replace(patch_config(), channel=channel, side_dim=width + settings.get("identity", 0))
        model.add_patch(channel, config, None, Preprocessing(4, {"type": channel, **settings}))
        randomize(model, channel)
        model.save_patch(channel, tmp_path / channel)
    patches = ("--patch", tmp_path / "frames", "--patch", tmp_path / "views")
    assert answered(capsys, "--video", clip, *patches)["absent"] == ["views"]
    assert answered(capsys, "--video", clip, *patches, "--side", f"views={clip}")["absent"] == []


def test_refusals(capsys: pytest.CaptureFixture[str], patch: Path, clip: Path, tmp_path: Path) -> None:
    given = ("--question", QUESTION, "--patch", patch, "--video", clip)
    assert "no-such" in refused(capsys, "--question", "x", "--video", tmp_path / "no-such.mp4")
    assert "question is empty" in refused(capsys, "--question", " ", "--video", clip)
    assert "did you mean 'audio'" in refused(capsys, *given, "--side", f"audi={clip}")
    assert "given twice" in refused(capsys, *given, "--audio", clip, "--side", f"audio={clip}")
    assert "frames is 0" in refused(capsys, *given, "--frames", "0")
    assert "no-such.wav" in refused(capsys, *given, "--audio", tmp_path / "no-such.wav")
    assert "question" in refused(capsys, "--video", clip)


def test_the_shipped_patch_hears_in_a_foreign_film(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Another size, frame rate and sample rate than the generator's."""
    form = FilmFormat(width=160, height=90, frames_per_sec=25, sample_rate=44_100)
    right, total = 0, 0
    for number in range(4):
        rng = np.random.default_rng([99, number])
        scene = TRACKS["hear"].draw(rng)
        times = np.arange(round(scene.duration_sec * form.frames_per_sec)) / form.frames_per_sec
        pictures = render(scene, times.tolist(), form.width, form.height)
        film = tmp_path / f"{number}.mp4"
        write_mp4(film, pictures, soundtrack(scene, form.sample_rate, rng), form)
        for question in TRACKS["hear"].ask(scene, rng)[:3]:
            assert main(["ask", "--patch", "hear", "--video", str(film), "--question", question.text]) == 0
            right += capsys.readouterr().out.strip().lower() == question.answer
            total += 1
    assert right >= 0.85 * total
