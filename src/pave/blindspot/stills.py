"""Single frames with what stands in each half of them: what the tiny base's vision tower learns to see from."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from pave.blindspot import layouts
from pave.blindspot.glimpse import glimpses
from pave.blindspot.observation import PLACES, is_hidden, place_of
from pave.blindspot.scene import COLOURS, SHAPES, Scene

UNKNOWN = -100
LABEL_SIZES = (*(len(COLOURS) + 1, len(SHAPES) + 1) * len(PLACES), len(COLOURS) + 1)


@dataclass(frozen=True)
class Stills:
    """N frames and their labels.

    Attributes:
        pictures: (N, size, size, 3) uint8.
        labels: (N, 5) for each half of the picture, left and right, the colour and the shape of what is there, then
            the colour of a flash; 0 for none, ``UNKNOWN`` where a half holds two things.
    """

    pictures: np.ndarray
    labels: np.ndarray


def make_stills(count: int, seed: int, size: int, workers: int) -> Stills:
    """Return ``count`` frames, each of a scene of its own, the same whatever the number of workers."""
    step = 500
    jobs = [(range(start, min(start + step, count)), seed, size) for start in range(0, count, step)]
    if workers == 1:
        parts = [_make_some(*job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            parts = list(pool.map(_make_some, *zip(*jobs, strict=True)))
    pictures, labels = zip(*parts, strict=True)
    return Stills(np.concatenate(pictures), np.concatenate(labels))


def _make_some(indices: range, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    pictures, labels = zip(*(_make(np.random.default_rng([seed, 9, index]), size) for index in indices), strict=True)
    return np.stack(pictures), np.stack(labels)


def _make(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    scene = layouts.draw(str(rng.choice(list(layouts.LAYOUTS))), rng)
    camera = int(rng.integers(len(scene.cameras))) if scene.walls and rng.random() < 0.7 else 0
    time_sec = float(rng.uniform(0, scene.duration_sec))
    if scene.flashes and rng.random() < 0.6:
        flash = scene.flashes[int(rng.integers(len(scene.flashes)))]
        time_sec = flash.onset_sec + 0.5 * flash.duration_sec
    return glimpses(scene, np.array([time_sec]), size, rng, camera)[0], _labels(scene, time_sec, camera)


def _labels(scene: Scene, time_sec: float, camera: int) -> np.ndarray:
    colours, shapes = list(COLOURS), list(SHAPES)
    labels = np.zeros(len(LABEL_SIZES), np.int64)
    taken = [0] * len(PLACES)
    for solid in scene.solids:
        if not solid.is_present(time_sec) or is_hidden(scene, solid, time_sec, camera):
            continue
        half = PLACES.index(place_of(scene.cameras[camera], solid.position(time_sec)))
        taken[half] += 1
        labels[2 * half : 2 * half + 2] = colours.index(solid.colour) + 1, shapes.index(solid.shape) + 1
    for half, count in enumerate(taken):
        if count > 1:
            labels[2 * half : 2 * half + 2] = UNKNOWN
    for flash in scene.flashes:
        if flash.is_on(time_sec):
            labels[-1] = colours.index(flash.colour) + 1
    return labels
