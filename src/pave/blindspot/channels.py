"""Writes a scene's side media as real files: depth with its poses, and what other cameras film.

Sound and the film at its full rate need no files of their own; the film holds both.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pave.blindspot.film import FilmFormat, write_mp4
from pave.blindspot.render import camera_to_world, intrinsics, render, render_depth
from pave.blindspot.scene import Scene, sampled_times

DEPTH_UNIT_M = 0.001
VIEW_CAMERAS = ("from left", "from right")
"""The cameras that film along with the main one: between them they see behind every wall."""

VIEW_FRAMES_PER_SEC = 2


def write_depth(scene: Scene, folder: Path, form: FilmFormat) -> None:
    """Write the main camera as an RGB-D recording: a picture with its depth a second, and ``cameras.json``.

    Depth is 16-bit PNG in millimetres along the optical axis; 0, for none, where it is infinite or beyond 65.5 m.
    """
    camera = scene.cameras[0]
    times = sampled_times(scene.duration_sec, round(scene.duration_sec)).tolist()
    pictures = render(scene, times, form.width, form.height)
    depths = render_depth(scene, times, form.width, form.height)
    for name in ("color", "depth"):
        (folder / name).mkdir(parents=True)
    frames = []
    for index, time_sec in enumerate(times):
        picture, depth = f"color/{index:03d}.png", f"depth/{index:03d}.png"
        Image.fromarray(pictures[index]).save(folder / picture)
        Image.fromarray(_millimetres(depths[index])).save(folder / depth)
        pose = camera_to_world(camera).tolist()
        frames.append({"time_sec": time_sec, "picture": picture, "depth": depth, "pose": pose})
    recording = {
        "poses": "camera_to_world",
        "axes": "opencv",
        "depth_unit_m": DEPTH_UNIT_M,
        "intrinsics": asdict(intrinsics(camera, form.width, form.height)),
        "frames": frames,
    }
    _write_json(folder / "cameras.json", recording)


def has_views(scene: Scene) -> bool:
    """Whether the scene has cameras that film along."""
    return any(camera.name in VIEW_CAMERAS for camera in scene.cameras[1:])


def write_views(scene: Scene, folder: Path, form: FilmFormat) -> None:
    """Write what the other cameras film, an mp4 each without sound, named like the camera, and ``views.json``."""
    folder.mkdir(parents=True)
    form = replace(form, frames_per_sec=VIEW_FRAMES_PER_SEC)
    times = (np.arange(round(scene.duration_sec * VIEW_FRAMES_PER_SEC)) / VIEW_FRAMES_PER_SEC).tolist()
    cameras = []
    for index, camera in enumerate(scene.cameras):
        if index == 0 or camera.name not in VIEW_CAMERAS:
            continue
        file = f"{camera.name.replace(' ', '_')}.mp4"
        write_mp4(folder / file, render(scene, times, form.width, form.height, index), None, form)
        cameras.append({"path": file, "offset_sec": 0.0, "drift": 0.0})
    _write_json(folder / "views.json", {"cameras": cameras})


def _millimetres(depth: np.ndarray) -> np.ndarray:
    units = np.rint(np.where(np.isfinite(depth), depth, 0) / DEPTH_UNIT_M)
    return np.where(units > np.iinfo(np.uint16).max, 0, units).astype(np.uint16)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")
