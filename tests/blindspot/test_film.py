"""Films: real files whose pictures and sounds are where they should be in time when decoded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pave.blindspot.film import FilmFormat, write_film, write_mp4
from pave.blindspot.layouts import draw
from pave.blindspot.render import render
from pave.blindspot.scene import sampled_times
from pave.errors import InputError
from pave.media.audio import read_audio
from pave.media.video import probe, sample_frames


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_click_is_decoded_where_it_was_written(tmp_path: Path, rate: int) -> None:
    sound = np.zeros(4 * rate, np.float32)
    sound[round(3.2 * rate) : round(3.21 * rate)] = 0.8
    form = FilmFormat(sample_rate=rate)
    write_mp4(tmp_path / "click.mp4", np.zeros((32, 64, 64, 3), np.uint8), sound, form)
    audio = read_audio(tmp_path / "click.mp4", sample_rate=rate)
    assert audio is not None
    onset = np.abs(audio.samples).ravel().argmax() / rate
    assert 3.197 < onset < 3.213


def test_a_film_shows_the_scene_and_sounds_its_events(tmp_path: Path) -> None:
    scene = draw("turns", np.random.default_rng(3))
    write_film(scene, tmp_path / "film.mp4", FilmFormat(), np.random.default_rng(4))
    info = probe(tmp_path / "film.mp4")
    assert (info.width, info.height) == (64, 64)
    assert info.duration_sec == pytest.approx(8.0, abs=0.01)
    frames = sample_frames(tmp_path / "film.mp4", 8)
    np.testing.assert_allclose(frames.times_sec, sampled_times(8.0), atol=1e-6)
    drawn = render(scene, sampled_times(8.0).tolist(), 64, 64)
    assert np.abs(frames.pixels.astype(int) - drawn).mean() < 6
    audio = read_audio(tmp_path / "film.mp4", sample_rate=16000)
    assert audio is not None
    loud = np.abs(audio.samples).ravel().reshape(-1, 1600).max(1) > 0.08
    first_loud_sec = np.nonzero(loud)[0][0] / 10
    assert first_loud_sec == pytest.approx(scene.sounds[0].onset_sec, abs=0.11)


@pytest.mark.parametrize(
    ("field", "value"), [("width", 65), ("height", 8), ("frames_per_sec", 0), ("sample_rate", 12345)]
)
def test_a_format_that_cannot_be_written_is_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{field} is {value}"):
        FilmFormat(**{field: value})
