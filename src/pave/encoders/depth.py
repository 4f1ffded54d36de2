"""RGB-D recordings as side channels: what each patch of a frame looks like, and where in the world it lies."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.flop_counter import FlopCounterMode

from pave.config import check_choices
from pave.encoders.base import Encoder, side_channel_of
from pave.encoders.depth_estimate import DepthEstimator
from pave.encoders.depth_positions import fourier_features, fourier_width, patch_positions
from pave.encoders.depth_vision import PictureModel
from pave.encoders.pretrained import Pretrained, check_device, device_of
from pave.encoders.tower import NOMINAL_SIDE, Tower, flops_a_frame
from pave.errors import InputError
from pave.media.cameras import Intrinsics
from pave.media.consistency import ConsistencyCheck
from pave.media.recording import Recording, open_recording
from pave.media.rgbd import RecordingOptions, RgbdFrame
from pave.types import SideChannel

logger = logging.getLogger(__name__)

FRAMES_AT_ONCE = 8
"""Decoded frames that are held in memory."""


@dataclass(frozen=True)
class DepthConfig(RecordingOptions):
    """Settings of the depth encoder, beside those of how a recording is read.

    Args:
        type: Name in the encoder registry.
        frames: Frames taken of a recording, evenly in time; those of several cameras at one instant stay together.
        vision: ``tower`` is the base's own; ``none`` leaves positions only; else hub id or folder of a vision model of
            transformers.
        vision_revision: Branch, tag or commit of it on the hub.
        grid: Rows and columns of a frame's tokens; by default as the vision model has them. Finer features are
            averaged.
        depth: ``files`` takes only frames that have depth; ``estimate`` fills in what is missing.
        depth_model: For ``estimate``: hub id or folder of a Depth Anything (metric), Depth Pro or ZoeDepth model.
        depth_revision: Branch, tag or commit of it on the hub.
        centre_m: Middle of the scene in the world's frame.
        extent_m: From there to the border of the scene, along each axis.
        frequencies: Of the Fourier features; frequency f repeats every ``2 extent_m / f`` metres.
        min_agreement: Part of the places compared where the depth of neighbouring views must agree; 0 does not ask.
        dtype: Of weights and features, except those of the base's own tower.
        device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.

    Raises:
        InputError: On a value out of range, or settings that do not go together.
    """

    type: str = "depth"
    frames: int = 32
    vision: str = "tower"
    vision_revision: str | None = None
    grid: tuple[int, ...] | None = None
    depth: Literal["files", "estimate"] = "files"
    depth_model: str | None = None
    depth_revision: str | None = None
    centre_m: tuple[float, ...] = (0.0, 0.0, 0.0)
    extent_m: float = 8.0
    frequencies: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    min_agreement: float = 0.5
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except InputError as error:
            raise InputError(f"depth: {error}") from None
        check_choices(self)
        check_device("depth", self.device)
        if self.frames < 1:
            raise InputError(f"depth: frames is {self.frames}; it must be at least 1")
        if self.grid is not None and (len(self.grid) != 2 or min(self.grid) < 1):
            raise InputError(f"depth: grid is {list(self.grid)}; give rows and columns, both at least 1")
        if self.vision == "none" and self.grid is None:
            raise InputError("depth: vision 'none' has no patches of its own; set grid to rows and columns")
        if (self.depth == "estimate") != (self.depth_model is not None):
            raise InputError("depth: 'depth: estimate' and 'depth_model' go together; set both or none")
        if len(self.centre_m) != 3 or not all(map(math.isfinite, self.centre_m)):
            raise InputError(f"depth: centre_m is {list(self.centre_m)}; give x, y and z in metres")
        if not (self.extent_m > 0 and math.isfinite(self.extent_m)):
            raise InputError(f"depth: extent_m is {self.extent_m}; it must be above 0 metres")
        if not all(frequency > 0 and math.isfinite(frequency) for frequency in self.frequencies):
            raise InputError(f"depth: frequencies are {list(self.frequencies)}; each must be above 0")
        if not 0 <= self.min_agreement <= 1:
            raise InputError(f"depth: min_agreement is {self.min_agreement}; it must be from 0 to 1")


class DepthEncoder(Encoder[DepthConfig]):
    """Visual features and Fourier features of the 3D position of each patch, one grid of tokens a frame.

    Raises:
        InputError: If a model that the settings name cannot be read or does not serve.
    """

    config_class = DepthConfig

    def __init__(self, config: DepthConfig) -> None:
        super().__init__(config)
        self._pictures: PictureModel | None = None
        self._estimator: DepthEstimator | None = None
        if config.vision not in ("tower", "none"):
            source = Pretrained("depth", config.vision, config.vision_revision)
            self._pictures = PictureModel(source, config.dtype, config.device)
        if config.depth_model is not None:
            source = Pretrained("depth", config.depth_model, config.depth_revision)
            self._estimator = DepthEstimator(source, config.dtype, config.device)

    @property
    def needs_tower(self) -> bool:
        return self.config.vision == "tower"

    @property
    def width(self) -> int:
        """Feature width D."""
        return (0 if self._vision is None else self._vision.width) + fourier_width(self.config.frequencies)

    @property
    def tokens(self) -> int | None:
        """Tokens a step N, or ``None`` where the size of the pictures decides them."""
        grid = self.config.grid or (None if self._vision is None else self._vision.grid)
        return None if grid is None else grid[0] * grid[1]

    @property
    def num_parameters(self) -> int:
        models = (self._pictures, self._estimator)
        return sum(model.num_parameters for model in models if model is not None)

    @property
    def device(self) -> torch.device:
        """Where its models run."""
        return device_of(self.config.device) if self._pictures or self._estimator else torch.device("cpu")

    @property
    def revision(self) -> str:
        """What identifies the weights of the vision model and of the depth model."""
        vision = "" if self._vision is None else self._vision.revision
        return vision if self._estimator is None else f"{vision}+{self._estimator.identity}"

    def sources(self, path: Path) -> list[Path]:
        """Return a folder, whose files' names tell times, or a ``cameras.json``, and what is taken from outside of it.

        Raises:
            InputError: If it is in no known layout, or no frame can be used.
        """
        recording = self._open(path)
        taken = [file for file in recording.files(recording.evenly(self.config.frames)) if file.is_file()]
        inside = path.resolve() if path.is_dir() else None
        return [path, *(file for file in taken if inside is None or inside not in file.resolve().parents)]

    def flops(self, duration_sec: float) -> int:
        """Return the floating-point operations for a recording, the same for any duration; all depth is estimated."""
        vision = 0 if self._vision is None else flops_a_frame(self._vision)
        return self.config.frames * (vision + self._flops_to_estimate)

    def encode(self, path: Path) -> SideChannel:
        """Return the side channel (K,N,D) of a recording; K is smaller than ``frames`` if it has fewer.

        Raises:
            InputError: If it is in no known layout, a file is damaged, no frame can be used, or the depth of
                neighbouring views disagrees, as it does under a wrong convention of the poses.
        """
        recording = self._open(Path(path))
        check = ConsistencyCheck(recording.convention)
        parts: list[Tensor] = []
        times_sec: list[float] = []
        empty = outside = 0
        grid = (0, 0)
        taken = self._frames(recording, check)
        while frames := list(islice(taken, FRAMES_AT_ONCE)):
            visual, grid = self._visual(frames)
            positions = torch.from_numpy(np.stack([patch_positions(frame, grid) for frame in frames]))
            outside += self._outside(positions)
            empty += sum(not frame.depth_m.any() for frame in frames if frame.depth_m is not None)
            spatial = fourier_features(positions, self.config.centre_m, self.config.extent_m, self.config.frequencies)
            parts.append(torch.cat([visual, spatial.to(visual.dtype)], dim=-1))
            times_sec += [frame.time_sec for frame in frames]
        if self.config.min_agreement:
            check.require(recording.path, self.config.min_agreement)
        if empty:
            logger.warning("%s: %d of %d frames have no valid depth", path, empty, len(times_sec))
        if outside:
            logger.warning("%s: %d patches lie beyond extent_m %g", path, outside, self.config.extent_m)
        return side_channel_of(path, torch.cat(parts), torch.tensor(times_sec, dtype=torch.float64), grid)

    @property
    def _vision(self) -> Tower | None:
        return self.tower if self.needs_tower else self._pictures

    def _open(self, path: Path) -> Recording:
        return open_recording(path, self.config, needs_depth=self._estimator is None)

    def _frames(self, recording: Recording, check: ConsistencyCheck) -> Iterator[RgbdFrame]:
        """Give the frames that are taken, each with depth; what was measured goes through the check."""
        estimated = 0
        size: tuple[int, int] | None = None
        for frame in recording.frames(recording.evenly(self.config.frames)):
            size = _same_size(frame, size)
            if self._estimator is not None and (frame.depth_m is None or not frame.depth_m.any()):
                estimated += 1
                depth_m = self._estimator.estimate(frame.pixels, frame.camera)
                yield replace(frame, depth_m=depth_m, depth_camera=frame.camera)
            else:
                check.add(frame)
                yield frame
        if estimated:
            logger.info("%s: depth of %d frames is estimated", recording.path, estimated)

    def _visual(self, frames: list[RgbdFrame]) -> tuple[Tensor, tuple[int, int]]:
        """Return visual features (B,N,Cq) of frames, Cq 0 without a vision model, and the grid of the N patches."""
        asked = None if self.config.grid is None else (self.config.grid[0], self.config.grid[1])
        if self._vision is None:
            assert asked is not None
            dtype = getattr(torch, self.config.dtype)
            return torch.zeros(len(frames), asked[0] * asked[1], 0, dtype=dtype), asked
        pixels = torch.from_numpy(np.stack([frame.pixels for frame in frames])).permute(0, 3, 1, 2)
        features = self._vision.features(pixels)
        if asked is not None:
            features = _averaged(features, asked)
        rows, columns = features.shape[1:3]
        return features.flatten(1, 2), (rows, columns)

    def _outside(self, positions: Tensor) -> int:
        away = (positions - torch.tensor(self.config.centre_m)).abs().amax(dim=-1)
        return int((away > self.config.extent_m).sum())

    @cached_property
    def _flops_to_estimate(self) -> int:
        if self._estimator is None:
            return 0
        blank = np.zeros((NOMINAL_SIDE, NOMINAL_SIDE, 3), np.uint8)
        middle = (NOMINAL_SIDE - 1) / 2
        camera = Intrinsics(NOMINAL_SIDE, NOMINAL_SIDE, middle, middle, NOMINAL_SIDE, NOMINAL_SIDE)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._estimator.estimate(blank, camera)
        return int(counter.get_total_flops())


def _same_size(frame: RgbdFrame, size: tuple[int, int] | None) -> tuple[int, int]:
    own = (frame.camera.width, frame.camera.height)
    if size is not None and own != size:
        raise InputError(
            f"{frame.source}: has {own[0]} x {own[1]} pixels, the pictures before {size[0]} x {size[1]}; "
            "scale a recording's pictures to one size"
        )
    return own


def _averaged(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return features (T,rows,columns,Cq) averaged over the cells of a coarser grid."""
    found = features.shape[1:3]
    if found[0] < grid[0] or found[1] < grid[1]:
        raise InputError(
            f"depth: grid {grid[0]} x {grid[1]} is finer than the {found[0]} x {found[1]} features of the vision model"
        )
    return adaptive_avg_pool2d(features.permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1)
