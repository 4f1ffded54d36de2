"""Other cameras of the same moments: their frames through the base's own tower, as the base sees its own video.

This is the side channel ``views``. Its steps are all cameras of one moment, then those of the next; a camera that does
not run at a moment has no step there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pave.config import check_choices
from pave.encoders.base import Encoder, draw_some, side_channel_of
from pave.encoders.frame_steps import ROUNDING_SEC, batches_of_frames, frames_of
from pave.encoders.tower import averaged, flops_a_frame
from pave.encoders.views_file import VIEWS_FILE, Camera, read_views
from pave.errors import InputError
from pave.media.reference_frames import frame_times_sec
from pave.media.video import probe
from pave.types import SideChannel


@dataclass(frozen=True)
class ViewsConfig:
    """Settings of the views encoder.

    Args:
        type: Name in the encoder registry.
        frame_rate: Moments a second; each gives one step for every camera that runs then.
        grid: Rows and columns of the tokens of a frame, to which its features are averaged; by default the base's own.
        identity: Width of a fixed code of the camera's number, appended to its features; even, and 0 for none.
        random_views: In training, show at least one of the cameras, drawn anew each time, instead of all.
        seed: Of what is drawn.
        dtype: Of features.
        batch_size: Frames that are encoded at once.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "views"
    frame_rate: float = 2.0
    grid: tuple[int, ...] | None = None
    identity: int = 0
    random_views: bool = False
    seed: int = 0
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_choices(self)
        if not (self.frame_rate > 0 and math.isfinite(self.frame_rate)):
            raise InputError(f"views: frame_rate is {self.frame_rate}; it must be above 0 moments a second")
        if self.grid is not None and (len(self.grid) != 2 or min(self.grid) < 1):
            raise InputError(f"views: grid is {list(self.grid)}; give rows and columns, both at least 1")
        if self.identity < 0 or self.identity % 2:
            raise InputError(f"views: identity is {self.identity}; it must be an even width, or 0 for none")
        if self.seed < 0:
            raise InputError(f"views: seed is {self.seed}; it must be 0 or more")
        if self.batch_size < 1:
            raise InputError(f"views: batch_size is {self.batch_size}; it must be at least 1")


@dataclass(frozen=True)
class Layout:
    """Which camera and which of its frames make each step.

    Args:
        cameras: The cameras.
        camera: Number of the camera of each step (K,).
        own_sec: When the frame of each step appears, on its camera's own clock (K,).
        times_sec: Middle of each step on the video's clock (K,), sorted.
    """

    cameras: tuple[Camera, ...]
    camera: np.ndarray
    own_sec: np.ndarray
    times_sec: np.ndarray


class ViewsEncoder(Encoder[ViewsConfig]):
    """Frames of other cameras through the base's own tower, before the projector."""

    config_class = ViewsConfig
    needs_tower = True
    needs_video = True

    def __init__(self, config: ViewsConfig) -> None:
        super().__init__(config)
        self._camera_of_steps: dict[tuple[Path, Path | None], np.ndarray] = {}

    @property
    def width(self) -> int | None:
        """Feature width D; ``None`` before the base's tower is attached."""
        return None if self.attached is None else self.attached.width + self.config.identity

    @property
    def tokens(self) -> int | None:
        """Tokens a step N; ``None`` where the size of the pictures decides it."""
        grid = self.config.grid or (None if self.attached is None else self.attached.grid)
        return None if grid is None else grid[0] * grid[1]

    @property
    def revision(self) -> str:
        """What identifies the weights of the tower."""
        return self.tower.revision

    @property
    def thins(self) -> bool:
        return self.training and self.config.random_views

    def flops(self, duration_sec: float) -> int:
        """Return the floating-point operations for ``duration_sec`` of one camera's video."""
        return math.ceil(duration_sec * self.config.frame_rate) * flops_a_frame(self.tower)

    def sources(self, path: Path) -> list[Path]:
        """Return the entry itself and the files of its cameras."""
        files = [camera.path for camera in read_views(path).cameras]
        listing = path / VIEWS_FILE if path.is_dir() else path
        return list(dict.fromkeys([listing, *files])) if listing.is_file() else files

    def encode(self, path: Path, video: Path | None = None) -> SideChannel:
        """Return the side channel (K,N,D) of a video's other cameras.

        Args:
            path: What :func:`pave.encoders.views_file.read_views` reads.
            video: The video that they belong to.

        Raises:
            InputError: If a file cannot be used, a camera shares no moment with the video, or the pictures of two
                cameras give grids of different sizes.
        """
        path = Path(path)
        layout = self.layout(path, video)
        values, grid = self._values(layout)
        return side_channel_of(path, values, torch.from_numpy(layout.times_sec), grid)

    def thin(self, signal: SideChannel, path: Path, video: Path | None, draw: int) -> SideChannel:
        """Return the steps of the cameras that are drawn, at least one.

        Args:
            signal: What :meth:`encode` made of ``path`` and ``video``.
            path: The entry.
            video: The video.
            draw: Number of the draw; the same number draws the same.
        """
        if (path, video) not in self._camera_of_steps:
            self._camera_of_steps[path, video] = self.layout(path, video).camera
        camera = self._camera_of_steps[path, video]
        drawn = draw_some(int(camera.max()) + 1, self.config.seed, draw)
        kept = torch.from_numpy(np.isin(camera, drawn))
        return replace(signal, values=signal.values[kept], times_sec=signal.times_sec[kept])

    def layout(self, path: Path, video: Path | None) -> Layout:
        """Return which frames of which cameras make the steps; nothing is decoded for it but what probing needs.

        Raises:
            InputError: As :meth:`encode`.
        """
        if video is None:
            raise InputError(f"{path}: other cameras are seen against their video's clock; name the video as well")
        end_sec = probe(video).duration_sec
        edges_sec = np.arange(max(1, math.ceil(end_sec * self.config.frame_rate - 1e-6)) + 1) / self.config.frame_rate
        edges_sec[-1] = end_sec
        cameras = read_views(path).cameras
        moments, numbers, own_sec = [], [], []
        for number, camera in enumerate(cameras):
            seen, frames_sec = _seen(camera, edges_sec, path, video)
            moments.append(seen)
            numbers.append(np.full(len(seen), number))
            own_sec.append(frames_sec)
        order = np.lexsort((np.concatenate(numbers), np.concatenate(moments)))
        middles_sec = (edges_sec[:-1] + edges_sec[1:]) / 2
        return Layout(
            cameras,
            np.concatenate(numbers)[order],
            np.concatenate(own_sec)[order],
            middles_sec[np.concatenate(moments)[order]],
        )

    def _values(self, layout: Layout) -> tuple[Tensor, tuple[int, int]]:
        values, grid = torch.empty(0), (0, 0)
        for number, camera in enumerate(layout.cameras):
            steps = np.flatnonzero(layout.camera == number)
            code = _code(number, self.config.identity)
            for which, features in self._features(camera, layout.own_sec[steps]):
                if grid == (0, 0):
                    grid = (features.shape[1], features.shape[2])
                    shape = (len(layout.camera), grid[0] * grid[1], features.shape[3] + self.config.identity)
                    values = torch.empty(shape, dtype=getattr(torch, self.config.dtype))
                if tuple(features.shape[1:3]) != grid:
                    raise InputError(
                        f"{camera.path}: its pictures give {features.shape[1]} x {features.shape[2]} features, those "
                        f"of {layout.cameras[0].path.name} {grid[0]} x {grid[1]}; scale the videos alike"
                    )
                rows = torch.from_numpy(steps[which])
                values[rows, :, : features.shape[3]] = features.flatten(1, 2).to(values.dtype)
                values[rows, :, features.shape[3] :] = code.to(values.dtype)
        return values, grid

    def _features(self, camera: Camera, own_sec: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Return the steps (B,) of a camera and their features (B,rows,columns,Cq); no frame is encoded twice."""
        distinct_sec, frame_of = np.unique(own_sec, return_inverse=True)
        done = 0
        for frames in batches_of_frames(camera.path, distinct_sec, self.config.batch_size):
            which = np.flatnonzero((frame_of >= done) & (frame_of < done + len(frames)))
            features = self.tower.features(frames, pooled=self.config.grid is None)
            if self.config.grid is not None:
                features = averaged(features, self.config.grid, camera.path)
            yield which, features[torch.from_numpy(frame_of[which] - done)]
            done += len(frames)


def _seen(camera: Camera, edges_sec: np.ndarray, path: Path, video: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments during which a camera runs, and when their frames appear on its own clock."""
    info = probe(camera.path)
    own_sec = frame_times_sec(camera.path)
    frames_sec = camera.on_video_clock(own_sec)
    end_sec = float(camera.on_video_clock(np.float64(info.duration_sec)))
    starts_sec, ends_sec = edges_sec[:-1], edges_sec[1:]
    seen = np.flatnonzero((frames_sec[0] < ends_sec - ROUNDING_SEC) & (end_sec > starts_sec + ROUNDING_SEC))
    if not len(seen):
        raise InputError(
            f"{path}: camera {camera.path.name} runs from {frames_sec[0]:.3f} to {end_sec:.3f} s on the clock of "
            f"{video.name}, which lasts {edges_sec[-1]:.3f} s: no moment in common; mend its offset_sec"
        )
    chosen_sec = frames_of(frames_sec, starts_sec[seen], ends_sec[seen])
    return seen, own_sec[np.searchsorted(frames_sec, chosen_sec)]


def _code(number: int, width: int) -> Tensor:
    """Return a fixed code (width,) that tells a camera's number: sines and cosines of it, each slower by half."""
    angles = number * 0.5 ** torch.arange(width // 2, dtype=torch.float64)
    return torch.stack([angles.sin(), angles.cos()], dim=1).flatten()
