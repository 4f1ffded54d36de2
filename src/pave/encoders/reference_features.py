"""Feature files of the reference: how each of its types lies in its file, and when its steps are, in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pave.encoders.features import FORMATS, read_features
from pave.errors import InputError
from pave.media.reference_frames import evenly_numbered, frame_times_sec

BY_FORM = "reference"
"""The recipe that goes by the form of a file, for patches whose feature type nobody recorded."""

CAMERAS = ("exo", "exo_random")
"""Recipes that read a folder; the second draws among its cameras in training."""

TIMED_BY_VIDEO = ("languagebind", "languagebind_14x14", *CAMERAS)
"""Recipes whose steps are frames of the video."""

SCENE_VIEWS = 32
"""Views of a scene in one ``3d_feature`` file."""

Clock = Callable[[int, Path, Path | None], Tensor]
"""From a number of moments, the feature file and its video to the times (K,) of the moments, in seconds."""


def windows_clock(count: int, path: Path, video: Path | None) -> Tensor:
    """Return the centres of ImageBind's windows, which are 2 s long and start every second."""
    return torch.arange(count, dtype=torch.float64) + 1.0


def pictures_clock(count: int, path: Path, video: Path | None) -> Tensor:
    """Return i seconds for view i: a folder of pictures has no clock, and its video is timed alike."""
    return torch.arange(count, dtype=torch.float64)


def frames_clock(count: int, path: Path, video: Path | None) -> Tensor:
    """Return the times of the video's frames that features were taken of: evenly numbered from first to last.

    Raises:
        InputError: If the video is not given, or cannot be used.
    """
    if video is None:
        raise InputError(
            f"{path}: its steps are frames of a video, evenly from the first to the last; name the video as well, or "
            "set 'hop_sec', or 'times: index' for a patch that aligns by index"
        )
    times_sec = frame_times_sec(video)
    return torch.from_numpy(times_sec[evenly_numbered(len(times_sec), count)])


@dataclass(frozen=True)
class Steps:
    """A feature file, laid out.

    Args:
        values: (K,N,D).
        clock: What times the moments; ``None`` if nothing about the file implies their times.
        cameras: Steps at each moment; K is a multiple of it.
    """

    values: Tensor
    clock: Clock | None
    cameras: int = 1


def read_reference_features(path: Path, recipe: str) -> Steps:
    """Read a feature file of the reference, or its folder of one file a camera.

    Args:
        path: The file or folder.
        recipe: One of :data:`RECIPES`.

    Raises:
        InputError: If it cannot be read, or has another form than the recipe's.
    """
    if recipe in CAMERAS or (recipe == BY_FORM and path.is_dir()):
        return _cameras(path)
    return _LAYOUTS[recipe](_values(path), path)


def _any_form(values: Tensor, path: Path) -> Steps:
    """Lay a file out as the only type that its form can be; the form does not tell how its steps were taken."""
    if values.ndim == 2:
        laid = _audio(values, path)
    elif values.ndim == 3 and values.shape[0] == 1 and _views(values):
        laid = _scene(values, path)
    else:
        laid = _frames(values, path)
    return Steps(laid.values, None)


def _audio(values: Tensor, path: Path) -> Steps:
    """Lay out (K,D), one token a window of ImageBind, or (n,s,D), n clips of s tokens in a row, from elsewhere."""
    if values.ndim == 3:
        return Steps(values.flatten(0, 1).unsqueeze(1), None)
    _check_dimensions(values, 2, "(K,D) or (n,s,D)", path)
    return Steps(values.unsqueeze(1), windows_clock)


def _scene(values: Tensor, path: Path) -> Steps:
    """Lay out (1, 32 P, D): the views of a scene, each a square of P tokens."""
    _check_dimensions(values, 3, f"(1, {SCENE_VIEWS} P, D)", path)
    if values.shape[0] != 1 or not _views(values):
        raise InputError(
            f"{path}: values have shape {tuple(values.shape)}; a scene has (1, {SCENE_VIEWS} P, D) with P a square"
        )
    return Steps(values[0].unflatten(0, (SCENE_VIEWS, -1)), pictures_clock)


def _video_frames(values: Tensor, path: Path) -> Steps:
    return _frames(values, path, frames_clock)


def _frames(values: Tensor, path: Path, clock: Clock | None = None) -> Steps:
    """Lay out (K,N,D) or (K,1+N,D): a square of N tokens a step, behind a CLS token that is left out."""
    _check_dimensions(values, 3, "(K,N,D) or (K,1+N,D)", path)
    tokens = values.shape[1]
    if not _is_square(tokens):
        if not _is_square(tokens - 1):
            raise InputError(f"{path}: has {tokens} tokens a step; they must be a square, or a CLS token and a square")
        values = values[:, 1:]
    return Steps(values, clock)


def _cameras(folder: Path) -> Steps:
    """Lay out a folder of one (T,N,D) a camera: all cameras of a moment, then those of the next."""
    files = camera_files(folder)
    views = [_frames(_values(file), file).values for file in files]
    for file, view in zip(files, views, strict=True):
        if view.shape != views[0].shape:
            shapes = f"{tuple(view.shape)}, {files[0].name} {tuple(views[0].shape)}"
            raise InputError(f"{file}: has shape {shapes}; all cameras of a folder must have the same")
    return Steps(torch.stack(views, dim=1).flatten(0, 1), frames_clock, cameras=len(views))


def camera_files(folder: Path) -> list[Path]:
    """Return the feature files of a folder, one a camera, by name.

    Raises:
        InputError: If there is no such folder, or it holds none, or anything else.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one that holds a feature file a camera")
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    for file in files:
        if file.suffix.lower() not in FORMATS:
            raise InputError(f"{file}: no feature file; keep only those of the cameras in its folder")
    if not files:
        raise InputError(f"{folder}: holds no feature files; it must hold one a camera")
    return files


def _values(path: Path) -> Tensor:
    features = read_features(path)
    if features.times_sec is not None:
        raise InputError(f"{path}: holds its own times; leave 'recipe' out to read them")
    return features.values


def _check_dimensions(values: Tensor, count: int, form: str, path: Path) -> None:
    if values.ndim != count:
        raise InputError(f"{path}: values have shape {tuple(values.shape)}; this recipe reads {form}")


def _views(values: Tensor) -> bool:
    """Whether the tokens (1,L,D) are those of square views of a scene."""
    tokens, rest = divmod(values.shape[1], SCENE_VIEWS)
    return rest == 0 and _is_square(tokens)


def _is_square(tokens: int) -> bool:
    return tokens > 0 and math.isqrt(tokens) ** 2 == tokens


_LAYOUTS: dict[str, Callable[[Tensor, Path], Steps]] = {
    "audio": _audio,
    "languagebind": _video_frames,
    "languagebind_14x14": _video_frames,
    "internvideo2": _frames,
    "siglip": _frames,
    "3d_feature": _scene,
    BY_FORM: _any_form,
}

RECIPES = (*_LAYOUTS, *CAMERAS)
"""The reference's names of its feature types, and :data:`BY_FORM`."""
