"""LLaVA-3D's features as an encoder: CLIP's patches of a scene's views, each with its place in the world added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pave.encoders.base import side_channel_of
from pave.encoders.llava3d_views import patch_points, square_camera, square_depth, square_picture
from pave.encoders.published import PublishedConfig, PublishedEncoder, batches, count_flops, fill
from pave.encoders.published_clip import POSITION_NUMBERS, PREFIX, hidden_states, read_clip
from pave.encoders.weights import Checkpoint, most_common, open_checkpoint
from pave.errors import InputError
from pave.media.recording import Recording, open_recording
from pave.media.rgbd import RecordingOptions, RgbdFrame
from pave.types import SideChannel

ACTIVATION = "quick_gelu"

POSITIONS = ".positional_embedding.position_embedding_head."
"""What stands before the names of the position embedding's tensors; those of the click encoder end alike."""


@dataclass(frozen=True)
class LLaVA3DConfig(RecordingOptions, PublishedConfig):
    """Settings of the LLaVA-3D encoder, with those of :class:`PublishedConfig` and :class:`RecordingOptions`.

    Args:
        weights: CLIP's file, folder or hub id: ``openai/clip-vit-large-patch14-336``.
        position_weights: Of the position embedding: ``ChaimZhu/LLaVA-3D-7B``; ``None`` gives CLIP's features alone.
        position_revision: Branch, tag or commit of those on the hub.
        heads: CLIP's attention heads; by default as in the ``config.json`` beside the weights, else 16.
        views: Views taken of a scene, evenly; all of a scene of fewer.
        batch_size: Views that go through CLIP at once.

    Raises:
        InputError: On a value out of range.
    """

    type: str = "llava3d"
    position_weights: str | None = field(kw_only=True)
    position_revision: str | None = None
    heads: int | None = None
    views: int = 32

    def __post_init__(self) -> None:
        PublishedConfig.__post_init__(self)
        try:
            RecordingOptions.__post_init__(self)
        except InputError as error:
            raise InputError(f"llava3d: {error}") from None
        if self.views < 1:
            raise InputError(f"llava3d: views is {self.views}; it must be at least 1")
        if self.heads is not None and self.heads < 1:
            raise InputError(f"llava3d: heads is {self.heads}; it must be at least 1")


class LLaVA3DEncoder(PublishedEncoder[LLaVA3DConfig]):
    """The views of an RGB-D recording through CLIP ViT-L/14-336: (K,576,1024), K views.

    As the reference has it, depth is neither filled nor smoothed, and world coordinates are metres as they are.
    """

    config_class = LLaVA3DConfig
    weights_licence = (
        "LLaVA-3D (position embedding): CC BY-NC-SA 4.0, for non-commercial use only; CLIP (patch features): MIT"
    )

    def _outline(self) -> nn.Module:
        config = self.config
        self._clip = read_clip(open_checkpoint(config.weights, config.revision, _clip_part), config.heads, ACTIVATION)
        networks = nn.ModuleDict({"clip": self._clip.outline})
        self._positions: Checkpoint | None = None
        if config.position_weights is not None:
            self._positions = open_checkpoint(config.position_weights, config.position_revision, _position_part)
            networks["positions"] = _position_outline(self._positions)
            width = networks["positions"][0].out_features
            if width != self.width:
                raise InputError(
                    f"{config.position_weights}: embeds positions in width {width}, but {config.weights} has "
                    f"{self.width}; name two that belong together"
                )
        return networks

    def _load(self) -> nn.Module:
        networks = nn.ModuleDict({"clip": self._clip.load()})
        if self._positions is not None:
            networks["positions"] = fill(self.outline["positions"], self._positions)
        return networks

    @cached_property
    def module(self) -> nn.Module:
        """The networks; that of the positions in full precision, since metres in half of it are off by centimetres."""
        networks = super().module
        if self._positions is not None:
            networks["positions"].float()
        return networks

    @property
    def width(self) -> int:
        """Feature width D."""
        return self._clip.width

    @property
    def tokens(self) -> int:
        """Tokens a step N."""
        return self._clip.rows**2

    @cached_property
    def revision(self) -> str:
        """What identifies both weights, and what their shapes do not tell."""
        if self._positions is None:
            return self._clip.identity
        return f"{self._clip.identity}+{self._positions.revision(self.outline['positions'].state_dict())}"

    def flops(self, duration_sec: float) -> int:
        """Return the networks' floating-point operations for a recording of all the views, whatever its duration."""
        side = self._clip.image_size
        flops = count_flops(self.outline["clip"], (1, 3, side, side))
        if self._positions is not None:
            flops += count_flops(self.outline["positions"], (self.tokens, 3))
        return self.config.views * flops

    def sources(self, path: Path) -> list[Path]:
        """Return the recording itself, and the pictures and depth that it names elsewhere."""
        recording = self._open(path)
        files = recording.files(chosen_views(len(recording), self.config.views))
        return [path, *(file for file in files if path not in file.parents)]

    def encode(self, path: Path) -> SideChannel:
        """Return the side channel (K,N,D) of a recording, as :func:`pave.media.recording.open_recording` reads it.

        Holds the pictures of one batch of views, however long the recording.

        Raises:
            InputError: If it is in no known layout, a file is damaged, no view can be used, or a network gives NaN.
        """
        path = Path(path)
        recording = self._open(path)
        chosen = chosen_views(len(recording), self.config.views)
        values = torch.cat(list(self._features(recording.frames(chosen))))
        times_sec = torch.from_numpy(recording.times_sec[chosen])
        return side_channel_of(path, values, times_sec, (self._clip.rows, self._clip.rows))

    def _open(self, path: Path) -> Recording:
        return open_recording(path, self.config, needs_depth=self._positions is not None)

    def _features(self, frames: Iterator[RgbdFrame]) -> Iterator[Tensor]:
        for batch in batches(frames, self.config.batch_size):
            pictures = np.stack([square_picture(frame.pixels, self._clip.image_size) for frame in batch])
            inputs = [torch.from_numpy(pictures)]
            if self._positions is not None:
                inputs.append(torch.from_numpy(np.stack([self._points(frame) for frame in batch])))
            yield self.run(view_features, *inputs)

    def _points(self, frame: RgbdFrame) -> np.ndarray:
        assert frame.depth_m is not None
        side, rows = self._clip.image_size, self._clip.rows
        matrix = square_camera(frame.depth_camera, side)
        return patch_points(square_depth(frame.depth_m, side), matrix, frame.camera_to_world, rows).reshape(-1, 3)


def view_features(networks: nn.Module, pictures: Tensor, points: Tensor | None = None) -> Tensor:
    """Return features (V,N,D) of pictures (V,3,H,W) and the world's points (V,N,3) of their patches.

    Args:
        networks: ``clip``, and ``positions`` where points are given.
        pictures: Normalised.
        points: Metres.
    """
    features = hidden_states(networks["clip"], pictures)[:, 1:]
    return features if points is None else features + networks["positions"](points).to(features.dtype)


def chosen_views(total: int, count: int) -> list[int]:
    """Return which of a recording's views are taken: every n-th from the first on; all if there are no more."""
    return list(range(total)) if total < count else [index * (total // count) for index in range(count)]


def _clip_part(name: str) -> str | None:
    inner = name.removeprefix(PREFIX)
    return inner if name.startswith(PREFIX) and inner != POSITION_NUMBERS else None


def _position_part(name: str) -> str | None:
    _, found, inner = f".{name}".partition(POSITIONS)
    return inner if found else None


def _position_outline(checkpoint: Checkpoint) -> nn.Module:
    width = most_common(shape[0] for shape in checkpoint.shapes.values() if len(shape) == 1)
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(3, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))
    checkpoint.check({name: tuple(value.shape) for name, value in network.state_dict().items()})
    return network
