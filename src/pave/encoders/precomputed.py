"""Features that were computed elsewhere, read with their times instead of being encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pave.config import check_choices
from pave.encoders.base import Encoder, draw_some, side_channel_of
from pave.encoders.features import Features, read_features
from pave.encoders.reference_features import RECIPES, TIMED_BY_VIDEO, Steps, camera_files, read_reference_features
from pave.errors import InputError, nearest
from pave.types import SideChannel


@dataclass(frozen=True)
class PrecomputedConfig:
    """How to read feature files.

    Args:
        type: Name in the encoder registry.
        width: Feature width D that every file must have; ``None`` accepts any.
        hop_sec: For files without times: seconds from one step to the next.
        start_sec: For files without times: centre of the first step.
        offset_sec: Added to all times, for a signal that was recorded apart from the picture.
        recipe: For the reference's files: its name of the feature type, or ``reference`` to go by a file's form.
        times: ``index`` numbers the steps of files without times, for patches that align by index and need none.
        seed: Of the cameras that the recipe ``exo_random`` draws in training.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "precomputed"
    width: int | None = None
    hop_sec: float | None = None
    start_sec: float = 0.0
    offset_sec: float = 0.0
    recipe: str | None = None
    times: Literal["seconds", "index"] = "seconds"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        if self.width is not None and self.width < 1:
            raise InputError(f"precomputed: width is {self.width}; it must be at least 1")
        if self.hop_sec is not None and not (self.hop_sec > 0 and math.isfinite(self.hop_sec)):
            raise InputError(f"precomputed: hop_sec is {self.hop_sec}; it must be above 0 seconds")
        if not (self.start_sec >= 0 and math.isfinite(self.start_sec)):
            raise InputError(f"precomputed: start_sec is {self.start_sec}; it must be 0 or more seconds")
        if not math.isfinite(self.offset_sec):
            raise InputError(f"precomputed: offset_sec is {self.offset_sec}; it must be a number of seconds")
        if self.recipe is not None and self.recipe not in RECIPES:
            raise InputError(
                f"precomputed: recipe is {self.recipe!r}; choose from {', '.join(RECIPES)}"
                f"{nearest(self.recipe, RECIPES)}"
            )
        if self.times == "index" and self.hop_sec is not None:
            raise InputError("precomputed: hop_sec gives seconds where times are 'index'; leave one of them out")
        if self.seed < 0:
            raise InputError(f"precomputed: seed is {self.seed}; it must be 0 or more")


class PrecomputedEncoder(Encoder[PrecomputedConfig]):
    """Reads a side channel from ``.safetensors``, ``.npy``, ``.npz``, ``.pt`` or ``.pth``.

    With a recipe it reads the reference's files, and for ``exo`` folders of one file a camera. Where the recipe takes
    its times from the video, the video must be named along with the file.
    """

    config_class = PrecomputedConfig
    only_reads = True

    @property
    def width(self) -> int | None:
        """Feature width D that files must have, or ``None`` if any will do."""
        return self.config.width

    @property
    def tokens(self) -> int | None:
        """``None``: each file has its own number of tokens a step."""
        return None

    @property
    def thins(self) -> bool:
        return self.training and self.config.recipe == "exo_random"

    @property
    def needs_video(self) -> bool:
        return self.config.recipe in TIMED_BY_VIDEO and not self.numbers_steps and self.config.hop_sec is None

    @property
    def numbers_steps(self) -> bool:
        return self.config.times == "index"

    def encode(self, path: Path, video: Path | None = None) -> SideChannel:
        """Return the side channel (K,N,D) in a feature file.

        Args:
            path: The file, or the folder of a recipe that reads folders.
            video: The video that it was made of.

        Raises:
            InputError: If the file is missing, damaged or of another form, its values or times are not those of a side
                channel, or its width is another than the settings say.
        """
        path = Path(path)
        if self.config.recipe is None:
            features = read_features(path)
            values, times_sec, grid = features.values, self._times_sec(features, path), features.grid
        else:
            steps = read_reference_features(path, self.config.recipe)
            values, times_sec, grid = steps.values, self._recipe_times_sec(steps, path, video), (0, 0)
        side_channel = side_channel_of(path, values, times_sec, grid)
        if self.config.width is not None and side_channel.width != self.config.width:
            raise InputError(
                f"{path}: values have width {side_channel.width}, the settings say {self.config.width}; "
                "name files of that width or change 'width'"
            )
        return side_channel

    def thin(self, signal: SideChannel, path: Path, video: Path | None, draw: int) -> SideChannel:
        """Return the steps of the cameras that are drawn, at least one."""
        cameras = len(camera_files(Path(path)))
        drawn = draw_some(cameras, self.config.seed, draw)
        kept = torch.from_numpy(np.isin(np.arange(signal.steps) % cameras, drawn))
        return replace(signal, values=signal.values[kept], times_sec=signal.times_sec[kept])

    def _times_sec(self, features: Features, path: Path) -> Tensor:
        if features.times_sec is not None:
            return features.times_sec.double() + self.config.offset_sec
        times_sec = self._evenly_sec(len(features.values) if features.values.ndim else 0)
        if times_sec is None:
            raise InputError(f"{path}: holds no times; add a tensor times_sec, or set 'hop_sec' (and 'start_sec')")
        return times_sec

    def _recipe_times_sec(self, steps: Steps, path: Path, video: Path | None) -> Tensor:
        moments = len(steps.values) // steps.cameras
        times_sec = self._evenly_sec(moments)
        if times_sec is None:
            if steps.clock is None:
                raise InputError(
                    f"{path}: recipe {self.config.recipe!r} does not tell the times of its steps; set 'hop_sec' (and "
                    "'start_sec'), or 'times: index' for a patch that aligns by index"
                )
            times_sec = steps.clock(moments, path, video) + self.config.offset_sec
        return times_sec.repeat_interleave(steps.cameras)

    def _evenly_sec(self, steps: int) -> Tensor | None:
        """Return times that the settings give to so many steps (K,), if they give any."""
        numbers = torch.arange(steps, dtype=torch.float64)
        if self.numbers_steps:
            return numbers
        if self.config.hop_sec is None:
            return None
        return numbers * self.config.hop_sec + self.config.start_sec + self.config.offset_sec
