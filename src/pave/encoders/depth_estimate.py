"""Depth from single pictures, by a pretrained monocular model of transformers: Depth Anything, Depth Pro, ZoeDepth."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from pave.encoders.pretrained import Pretrained
from pave.errors import InputError
from pave.media.cameras import Intrinsics

FAMILIES = ("depth_anything", "depth_pro", "zoedepth")
"""Model types whose output is depth in metres."""


class DepthEstimator:
    """A frozen monocular model; weights are loaded on first use.

    Args:
        source: The model, with its image processor beside it.
        dtype: Of the weights.
        device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.

    Raises:
        InputError: If it cannot be read, is of an unknown family, or gives no metres.
    """

    def __init__(self, source: Pretrained, dtype: str, device: str) -> None:
        self._source, self._dtype, self._device = source, dtype, device
        self._config = source.config(FAMILIES)
        if getattr(self._config, "depth_estimation_type", "metric") != "metric":
            raise InputError(
                f"{source.encoder}: {source.model} estimates depth up to an unknown scale; name one that gives "
                "metres, such as a Metric-Indoor variant"
            )
        self._processor = source.load(AutoImageProcessor)

    @cached_property
    def identity(self) -> str:
        """Commit on the hub, or a hash of the folder's files."""
        return self._source.identity(self._config)

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    @cached_property
    def model(self) -> nn.Module:
        """The model, ready to use."""
        return self._source.weights(lambda model: model, self._dtype, self._device, loader=AutoModelForDepthEstimation)

    @torch.no_grad()
    def estimate(self, pixels: np.ndarray, camera: Intrinsics) -> np.ndarray:
        """Return the depth of a picture, float32 (H,W), metres, 0 where the model gives nothing above 0.

        Args:
            pixels: RGB uint8 (H,W,3).
            camera: Intrinsics of the picture; models that would guess the focal length are told it.

        Raises:
            InputError: If the model gives NaN or infinity.
        """
        size = pixels.shape[:2]
        made = self._processor(images=[pixels], input_data_format="channels_last", return_tensors="pt")
        weight = next(self.model.parameters())
        output = self.model(pixel_values=made["pixel_values"].to(weight.device, weight.dtype))
        depth = self._in_metres(output, size, camera).float().cpu().numpy()
        if not np.isfinite(depth).all():
            raise InputError(f"{self._source.encoder}: {self._source.model} gives NaN or infinity as depth")
        return np.maximum(depth, 0, dtype=np.float32)

    def _in_metres(self, output: Any, size: tuple[int, ...], camera: Intrinsics) -> Tensor:
        options: dict[str, Any] = {"target_sizes": [size]}
        if self._config.model_type == "zoedepth":
            options["source_sizes"] = [size]
        if self._config.model_type == "depth_pro":
            # Its inverse depth becomes metres through the field of view, which is known here.
            angle = math.degrees(2 * math.atan(0.5 * camera.width / camera.fx))
            output.field_of_view = torch.tensor([angle], device=output.predicted_depth.device)
        estimates = self._processor.post_process_depth_estimation(output, **options)
        depth: Tensor = estimates[0]["predicted_depth"]
        return depth.reshape(size)
