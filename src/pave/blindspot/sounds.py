"""The sounds of the world, synthesised: eight timbres told apart at a glance in a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pave.blindspot.scene import Scene

SOUND_SEC = 0.4
_BACKGROUND_LEVEL = 0.003


def soundtrack(scene: Scene, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return a scene's sound, mono float32 in -1..1: its events, varied a little, over faint noise."""
    length = round(scene.duration_sec * sample_rate)
    track = rng.normal(0, _BACKGROUND_LEVEL, length)
    for event in scene.sounds:
        wave = synthesise(event.kind, sample_rate, rng) * rng.uniform(0.35, 0.7)
        start = round(event.onset_sec * sample_rate)
        part = wave[: max(0, length - start)]
        track[start : start + len(part)] += part
    return np.clip(track, -1, 1).astype(np.float32)


def synthesise(kind: str, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return one sound of that kind, float64 with peak 1, ``SOUND_SEC`` long; pitch varies by a few per cent."""
    time = np.arange(round(SOUND_SEC * sample_rate)) / sample_rate
    wave = _TIMBRES[kind](time, rng.uniform(0.96, 1.04), rng)
    fade = np.clip(np.minimum(time / 0.004, (SOUND_SEC - time) / 0.03), 0, 1)
    wave = wave * fade
    return wave / np.abs(wave).max()


def _tone(time: np.ndarray, hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * time)


def _bell(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    partials = [(1.0, 1.0), (2.76, 0.7), (5.4, 0.4)]
    return sum(a * _tone(time, 1050 * pitch * r) * np.exp(-time * (6 + 3 * r)) for r, a in partials)


def _drum(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    falling = np.cumsum(60 + 90 * np.exp(-time * 25)) * (time[1] - time[0])
    return np.sin(2 * np.pi * pitch * falling) * np.exp(-time * 9)


def _whistle(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * 2600 * pitch * time + 3 * np.sin(2 * np.pi * 9 * time))


def _buzzer(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.tanh(8 * _tone(time, 130 * pitch)) + 0.3 * np.tanh(8 * _tone(time, 1300 * pitch))


def _horn(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    swell = np.clip(time / 0.08, 0, 1)
    return swell * sum(_tone(time, 380 * pitch * k) / k for k in (1, 2, 3))


def _clap(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    beats = sum(np.exp(-np.clip(time - start, 0, None) * 90) * (time >= start) for start in (0, 0.12, 0.24))
    return rng.normal(0, 1, len(time)) * beats


def _chirp(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    phase = (time / 0.1) % 1
    return np.sin(2 * np.pi * pitch * np.cumsum(3200 + 3000 * phase) * (time[1] - time[0])) * (1 - phase)


def _siren(time: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    rising = 500 + 1100 * np.sin(np.pi * time / SOUND_SEC)
    return np.sin(2 * np.pi * pitch * np.cumsum(rising) * (time[1] - time[0]))


_TIMBRES: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "bell": _bell,
    "drum": _drum,
    "whistle": _whistle,
    "buzzer": _buzzer,
    "horn": _horn,
    "clap": _clap,
    "chirp": _chirp,
    "siren": _siren,
}
