"""Made-up media for a run whose data are not at hand: short films with sound, features, questions, and a batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors.torch import save_file

from pave.config import from_dict
from pave.cost import side_shape
from pave.data.jsonl import SAMPLES_FILE
from pave.data.processor import PaveProcessor
from pave.encoders import registry
from pave.errors import InputError
from pave.media.video import Frames
from pave.training.config import PatchTask
from pave.types import SideChannel

FILM_SEC = 60.0
"""Length of the film that a run of real size is counted with; its pictures are 640 x 360."""
_FILM_SIZE = (360, 640)

_TINY_SEC, _TINY_RATE, _TINY_SIZE, _SOUND_RATE = 2.0, 20, (96, 160), 16_000
_FILMS = 3
_CAMERAS = 4

_QUESTION = "What is the person doing while the bell rings, and which of the instruments is heard first? "
_ANSWER = "They play the violin, and the piano is heard first."
"""As bytes, so as tokens of a stand-in, about what a question with its answer takes."""

BY_TOWER = ("frames", "views")
"""Encoders of films that work with the base's own tower, unless they name a model."""


def runs_on_films(encoder: dict[str, Any]) -> bool:
    """Whether an encoder runs on made-up films; of others the features are made up."""
    return encoder.get("type") in (*BY_TOWER, "log_mel") and encoder.get("model") is None


def _side_shape(encoder: dict[str, Any], seconds: float, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Return side steps K and tokens a step N of an encoder with these settings.

    Raises:
        InputError: If the settings are wrong, or do not tell them.
    """
    config = from_dict(registry.get(encoder["type"]).config_class, encoder)
    try:
        steps, tokens = side_shape(config, seconds, grid, _CAMERAS)
    except InputError as error:
        raise InputError(f"{error}; dry-run with the data") from None
    if tokens is None:
        raise InputError(
            f"encoder {config.type!r}: its files alone tell how many tokens a step it makes; dry-run with the data"
        )
    return steps, tokens


def write_data(folder: Path, tasks: Sequence[PatchTask], seed: int) -> Path:
    """Write a data set of a few questions about films that show and sound like nothing, and return its folder.

    Args:
        folder: Where to.
        tasks: The patches that are trained on it, with their encoders.
        seed: Of what is made up.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lines = []
    for index in range(_FILMS):
        film = write_film(folder / f"film{index}.mp4", rng)
        side = {task.patch.channel: _side_file(film, task, rng).name for task in tasks}
        messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
        lines.append(json.dumps({"id": f"{index}", "video": film.name, "side": side, "messages": messages}) + "\n")
    (folder / SAMPLES_FILE).write_text("".join(lines), encoding="utf-8")
    return folder


def _side_file(film: Path, task: PatchTask, rng: np.random.Generator) -> Path:
    if runs_on_films(task.encoder):
        return write_film(film.with_suffix(".view.mp4"), rng) if task.encoder["type"] == "views" else film
    steps, tokens = _side_shape(task.encoder, _TINY_SEC, None)
    values = torch.from_numpy(rng.standard_normal((steps, tokens, task.patch.side_dim), dtype=np.float32))
    times_sec = (torch.arange(steps, dtype=torch.float64) + 0.5) * (_TINY_SEC / steps)
    path = film.with_suffix(f".{task.patch.channel}.safetensors")
    save_file({"values": values, "times_sec": times_sec}, path)
    return path


def write_film(path: Path, rng: np.random.Generator) -> Path:
    """Write two seconds of noise to see and to hear as mp4, and return the path."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=_TINY_RATE)
        pictures.height, pictures.width = _TINY_SIZE
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        for _ in range(int(_TINY_SEC * _TINY_RATE)):
            pixels = rng.integers(0, 256, (*_TINY_SIZE, 3), dtype=np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(pictures.encode())
        samples = rng.uniform(-0.1, 0.1, (1, int(_TINY_SEC * _SOUND_RATE))).astype(np.float32)
        heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        heard.sample_rate = _SOUND_RATE
        container.mux(sound.encode(heard))
        container.mux(sound.encode())
    return path


def make_batch(processor: PaveProcessor, tasks: Sequence[PatchTask], rows: int) -> dict[str, Any]:
    """Return a batch of one question, asked ``rows`` times, about a grey film of :data:`FILM_SEC` in its full size.

    Raises:
        InputError: If nothing is known of the encoder's steps.
    """
    count = processor.frames
    grey = np.zeros((count, *_FILM_SIZE, 3), dtype=np.uint8)
    video = processor.prepare_video(Frames(grey, (np.arange(count) + 0.5) * (FILM_SEC / count)))
    messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    turns = processor.tokenise(messages, True, answer=True)
    ((_, grid),) = processor.family.shapes(video.inputs)
    side: dict[str, SideChannel | None] = {}
    for task in tasks:
        steps, tokens = _side_shape(task.encoder, FILM_SEC, grid)
        times_sec = (torch.arange(steps, dtype=torch.float64) + 0.5) * (FILM_SEC / steps)
        side[task.patch.channel] = SideChannel(torch.zeros(steps, tokens, task.patch.side_dim), times_sec)
    return processor.collator("right", tuple(side))([processor.features(turns, video, side)] * rows)
