"""ScanNet's exported layout: ``color/``, ``depth/``, ``pose/`` and ``intrinsic/``, files named by frame number."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.cameras import Convention, Intrinsics
from pave.media.depth import picture_size
from pave.media.rgbd import Layout, RecordingOptions, Shot
from pave.media.text_tables import numbers, read_matrix, read_rows

UNIT_M = 0.001
PICTURES = (".jpg", ".jpeg", ".png")


def read_scannet(folder: Path, options: RecordingOptions) -> Layout:
    """Read a scene; times are frame numbers over ``frames_per_sec``, poses camera to world with OpenCV axes.

    ``<scene>.txt``, where it lies in the folder, tells the sizes that the intrinsics are for, and the axis alignment.
    Without it they are for the pictures as they are.

    Raises:
        InputError: If a part is missing or cannot be read.
    """
    pictures = _numbered(folder / "color", PICTURES)
    if not pictures:
        raise InputError(f"{folder / 'color'}: holds no pictures named by numbers; export the scene's colour frames")
    depths = _numbered(folder / "depth", (".png",))
    poses = _numbered(folder / "pose", (".txt",))
    facts = _facts(folder / f"{folder.name}.txt")
    camera = _camera(folder, "color", next(iter(pictures.values())), facts, options)
    depth_camera = _camera(folder, "depth", next(iter(depths.values())), facts, options) if depths else None
    shots = [
        Shot(
            time_sec=number / options.frames_per_sec,
            picture=picture,
            depth=depths.get(number),
            depth_unit_m=UNIT_M,
            camera=camera,
            depth_camera=depth_camera,
            pose=read_matrix(poses[number]) if number in poses else None,
        )
        for number, picture in pictures.items()
    ]
    return Layout(shots, Convention(), _alignment(facts, folder))


def _numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    files = [file for file in folder.iterdir() if file.suffix.lower() in suffixes and file.stem.isdecimal()]
    return {int(file.stem): file for file in sorted(files, key=lambda file: int(file.stem))}


def _camera(
    folder: Path, kind: str, example: Path, facts: dict[str, list[str]], options: RecordingOptions
) -> Intrinsics:
    width, height = picture_size(example)
    if options.intrinsics is not None:
        if kind == "depth":
            return _camera(folder, "color", example, facts, options)
        return Intrinsics(*options.intrinsics, width, height)
    file = _intrinsics_file(folder, kind)
    matrix = read_matrix(file)
    if f"{kind}Width" in facts and f"{kind}Height" in facts:
        width, height = (_count(facts, f"{kind}{side}", folder) for side in ("Width", "Height"))
    try:
        return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], width, height)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _intrinsics_file(folder: Path, kind: str) -> Path:
    # The whole export keeps them in a folder, the one of every hundredth frame beside the folders.
    places = [folder / "intrinsic" / f"intrinsic_{kind}.txt", folder / f"intrinsics_{kind}.txt"]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{places[0]}: no such file; export the scene's intrinsics, or set 'intrinsics'")


def _facts(file: Path) -> dict[str, list[str]]:
    if not file.is_file():
        return {}
    lines = [" ".join(row).split("=", 1) for row in read_rows(file)]
    return {line[0].strip(): line[1].split() for line in lines if len(line) == 2}


def _count(facts: dict[str, list[str]], name: str, folder: Path) -> int:
    words = facts[name]
    if len(words) != 1 or not words[0].isdecimal():
        raise InputError(
            f"{folder / folder.name}.txt: {name} is {' '.join(words)!r}, not a number of pixels; copy the file again"
        )
    return int(words[0])


def _alignment(facts: dict[str, list[str]], folder: Path) -> np.ndarray | None:
    if "axisAlignment" not in facts:
        return None
    values = numbers(facts["axisAlignment"], folder / f"{folder.name}.txt")
    if values.size != 16 or not np.isfinite(values).all():
        raise InputError(f"{folder / folder.name}.txt: axisAlignment is no matrix of 4 x 4 numbers; copy it again")
    return values.reshape(4, 4)
