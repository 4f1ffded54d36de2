"""A ray-cast room seen by six cameras, and its recording written in the true layout of each kind of data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pave.blindspot.render import render, render_depth
from pave.blindspot.scene import Camera, Scene, Solid, Wall, Waypoint

WIDTH, HEIGHT = 96, 72
ALWAYS = ((0.0, 100.0),)
REACH_M = 12.0
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class View:
    """What one camera sees: depth is 0 beyond the sensor's reach, the pose camera to world with OpenCV axes."""

    time_sec: float
    picture: np.ndarray
    depth_m: np.ndarray
    intrinsics: tuple[float, float, float, float]
    pose: np.ndarray


def six_views(width: int = WIDTH, height: int = HEIGHT) -> list[View]:
    """Return the views of six cameras that look into a room from an arc, one a second."""
    cameras = tuple(
        Camera(str(k), (4.5 * np.sin(a), -5.5 * np.cos(a), 1.2 + 0.25 * k), (0.2 * k, 0.0, 0.6), 50.0)
        for k, a in enumerate(np.linspace(-0.7, 0.7, 6))
    )
    solids = tuple(
        Solid(shape, colour, size, (Waypoint(0.0, place),), ALWAYS)
        for shape, colour, size, place in (
            ("sphere", "red", 0.6, (-1.0, 0.3, 0.6)),
            ("cube", "blue", 0.7, (1.2, -0.4, 0.56)),
            ("cone", "green", 0.6, (0.2, 1.5, 0.54)),
        )
    )
    walls = (Wall((0.0, 3.5, 2.0), (12.0, 0.4, 6.0)), Wall((-5.0, 0.0, 2.0), (0.4, 12.0, 6.0)))
    scene = Scene("room", 8.0, cameras, solids=solids, walls=walls)
    return [_view(scene, index, width, height) for index in range(len(cameras))]


def _view(scene: Scene, index: int, width: int, height: int) -> View:
    camera = scene.cameras[index]
    depth = render_depth(scene, [0.0], width, height, index)[0]
    focal = height / 2 / np.tan(np.radians(camera.field_of_view_deg) / 2)
    forward = np.subtract(camera.look_at, camera.position)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(forward, right), forward, camera.position])
    return View(
        time_sec=float(index),
        picture=render(scene, [0.0], width, height, index)[0],
        depth_m=np.where(depth < REACH_M, depth, 0),
        intrinsics=(focal, focal, width / 2 - 0.5, height / 2 - 0.5),
        pose=pose,
    )


def write_depth(path: Path, depth_m: np.ndarray, units_a_metre: float) -> None:
    """Write depth as 16-bit PNG."""
    Image.fromarray(np.round(depth_m * units_a_metre).astype(np.uint16)).save(path)


def written_pose(pose: np.ndarray, poses: str = "camera_to_world", axes: str = "opencv") -> np.ndarray:
    """Return a pose as a file of a convention has it."""
    turned = pose @ FLIP if axes == "opengl" else pose
    return turned if poses == "camera_to_world" else np.linalg.inv(turned)


def write_scannet(folder: Path, views: list[View], step: int = 30) -> Path:
    """Write ScanNet's export: frames numbered at thirty a second, 4 x 4 intrinsics of picture and depth."""
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    for index, view in enumerate(views):
        number = index * step
        Image.fromarray(view.picture).save(folder / "color" / f"{number}.jpg", quality=95)
        write_depth(folder / "depth" / f"{number}.png", view.depth_m, 1000)
        np.savetxt(folder / "pose" / f"{number}.txt", view.pose, fmt="%.6f")
    for kind, size in (("color", views[0].picture.shape), ("depth", views[0].depth_m.shape)):
        matrix = np.eye(4)
        scale = size[0] / views[0].depth_m.shape[0]
        fx, fy, cx, cy = views[0].intrinsics
        matrix[[0, 1, 0, 1], [0, 1, 2, 2]] = np.array([fx, fy, cx + 0.5, cy + 0.5]) * scale - [0, 0, 0.5, 0.5]
        np.savetxt(folder / "intrinsic" / f"intrinsic_{kind}.txt", matrix, fmt="%.6f")
        np.savetxt(folder / "intrinsic" / f"extrinsic_{kind}.txt", np.eye(4), fmt="%.6f")
    return folder


def write_tum(folder: Path, views: list[View], start: float = 1305031102.1753) -> Path:
    """Write a TUM sequence: depth maps a little later than pictures, poses a hundred times a second."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    lists = {"rgb": ["# color images"], "depth": ["# depth maps"]}
    truth = ["# ground truth trajectory", "# timestamp tx ty tz qx qy qz qw"]
    for view in views:
        picture, depth = start + view.time_sec, start + view.time_sec + 0.007
        lists["rgb"].append(f"{picture:.6f} rgb/{picture:.6f}.png")
        lists["depth"].append(f"{depth:.6f} depth/{depth:.6f}.png")
        Image.fromarray(view.picture).save(folder / "rgb" / f"{picture:.6f}.png")
        write_depth(folder / "depth" / f"{depth:.6f}.png", view.depth_m, 5000)
        numbers = [*view.pose[:3, 3], *quaternion(view.pose[:3, :3])]
        for shift in (-0.5, 0.004, 0.5):
            placed = numbers if shift == 0.004 else [value + 1 for value in numbers[:3]] + numbers[3:]
            truth.append(f"{picture + shift:.4f} " + " ".join(f"{value:.4f}" for value in placed))
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    return folder


def write_arkit(folder: Path, views: list[View], start: float = 305.377) -> Path:
    """Write a scan like those of ARKitScenes: one trajectory from the world to the cameras, intrinsics a frame."""
    for name in ("lowres_wide", "lowres_depth", "lowres_wide_intrinsics"):
        (folder / name).mkdir(parents=True)
    trajectory = []
    for view in views:
        stamp = f"41069021_{start + view.time_sec:.3f}"
        Image.fromarray(view.picture).save(folder / "lowres_wide" / f"{stamp}.png")
        write_depth(folder / "lowres_depth" / f"{stamp}.png", view.depth_m, 1000)
        size = view.picture.shape[1::-1]
        line = " ".join(f"{value:.6g}" for value in (*size, *view.intrinsics))
        (folder / "lowres_wide_intrinsics" / f"{stamp}.pincam").write_text(line)
        to_camera = np.linalg.inv(view.pose)
        values = [start + view.time_sec + 0.001, *axis_angle(to_camera[:3, :3]), *to_camera[:3, 3]]
        trajectory.append(" ".join(f"{value:.8f}" for value in values))
    (folder / "lowres_wide.traj").write_text("\n".join(trajectory) + "\n")
    return folder


def write_cameras(folder: Path, views: list[View], poses: str = "camera_to_world", axes: str = "opencv") -> Path:
    """Write ``cameras.json`` and the files that it names."""
    (folder / "color").mkdir(parents=True)
    (folder / "depth").mkdir()
    height, width = views[0].picture.shape[:2]
    entries = []
    for index, view in enumerate(views):
        Image.fromarray(view.picture).save(folder / "color" / f"{index:03}.png")
        write_depth(folder / "depth" / f"{index:03}.png", view.depth_m, 1000)
        entries.append(
            {
                "time_sec": view.time_sec,
                "picture": f"color/{index:03}.png",
                "depth": f"depth/{index:03}.png",
                "pose": written_pose(view.pose, poses, axes).tolist(),
            }
        )
    names = ("fx", "fy", "cx", "cy", "width", "height")
    content = {
        "poses": poses,
        "axes": axes,
        "depth_unit_m": 0.001,
        "intrinsics": dict(zip(names, (*views[0].intrinsics, width, height), strict=True)),
        "frames": entries,
    }
    (folder / "cameras.json").write_text(json.dumps(content))
    return folder


def edit_cameras(folder: Path, **changes: object) -> None:
    """Change fields at the top of a written ``cameras.json``, or with ``frames`` fields of single frames by index."""
    file = folder / "cameras.json"
    content = json.loads(file.read_text())
    for index, fields in changes.pop("frames", {}).items():  # type: ignore[attr-defined]
        content["frames"][index] |= fields
    content |= changes
    file.write_text(json.dumps(content))


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return the quaternion (x, y, z, w) of a rotation, as the eigenvector that it leaves alone (Bar-Itzhack)."""
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    return np.linalg.eigh(k)[1][:, -1]


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """Return the axis of a rotation times its angle."""
    x, y, z, w = quaternion(rotation)
    sine = np.linalg.norm([x, y, z])
    return np.array([x, y, z]) / sine * 2 * np.arctan2(sine, w)


LAYOUTS = {"scannet": write_scannet, "tum": write_tum, "arkit": write_arkit, "cameras": write_cameras}
