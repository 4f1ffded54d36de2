"""Sounds: told apart by their spectra, where they belong in time, the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from pave.blindspot.scene import SOUND_KINDS, Camera, Scene, SoundEvent
from pave.blindspot.sounds import SOUND_SEC, soundtrack, synthesise

RATE = 16000
CAMERA = Camera("main", (0.0, -6.0, 1.0), (0.0, 0.0, 1.0), 40.0)


def _fingerprint(wave: np.ndarray) -> np.ndarray:
    """Log energy in 12 bands by 4 quarters of the sound, relative to the loudest."""
    quarters = np.array_split(wave, 4)
    spectra = [np.abs(np.fft.rfft(part, 1024)) ** 2 for part in quarters]
    edges = np.geomspace(2, 512, 13).astype(int)
    energy = np.array([[s[a:b].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)] for s in spectra])
    return np.log(energy / energy.max() + 1e-4).ravel()


def test_kinds_are_told_apart_by_the_nearest_spectrum() -> None:
    rng = np.random.default_rng(0)
    known = {kind: np.mean([_fingerprint(synthesise(kind, RATE, rng)) for _ in range(5)], 0) for kind in SOUND_KINDS}
    hits = []
    for kind in SOUND_KINDS:
        for _ in range(20):
            found = _fingerprint(synthesise(kind, RATE, rng))
            hits.append(min(known, key=lambda name: float(np.abs(known[name] - found).mean())) == kind)
    assert np.mean(hits) > 0.97


@pytest.mark.parametrize("kind", SOUND_KINDS)
@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_sound_has_its_length_and_peak_at_any_rate(kind: str, rate: int) -> None:
    wave = synthesise(kind, rate, np.random.default_rng(1))
    assert len(wave) == round(SOUND_SEC * rate)
    assert np.abs(wave).max() == pytest.approx(1.0)
    assert abs(wave[0]) < 1e-6


def test_events_sound_where_they_are_and_faint_noise_elsewhere() -> None:
    scene = Scene("test", 4.0, (CAMERA,), sounds=(SoundEvent("horn", 1.0), SoundEvent("bell", 3.2)))
    track = soundtrack(scene, RATE, np.random.default_rng(2))
    assert track.dtype == np.float32
    assert track.shape == (4 * RATE,)
    loud = np.abs(track).reshape(-1, RATE // 10).max(1) > 0.05
    loud_tenths = set(np.nonzero(loud)[0].tolist())
    assert {10, 11, 12, 13, 32, 33} <= loud_tenths <= {10, 11, 12, 13, 32, 33, 34, 35}
    assert 0 < np.abs(track[: RATE // 2]).max() < 0.03


def test_the_same_seed_gives_the_same_sound() -> None:
    scene = Scene("test", 2.0, (CAMERA,), sounds=(SoundEvent("clap", 0.5),))
    first, second = (soundtrack(scene, RATE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (soundtrack(scene, RATE, np.random.default_rng(6)) != first).any()


def test_a_sound_at_the_very_end_is_cut_at_the_end() -> None:
    scene = Scene("test", 1.0, (CAMERA,), sounds=(SoundEvent("siren", 0.9),))
    assert soundtrack(scene, RATE, np.random.default_rng(0)).shape == (RATE,)
