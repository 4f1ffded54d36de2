"""Pictures through a pretrained vision model of transformers, in the form of a base's tower."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoConfig, AutoImageProcessor

from pave.encoders.pretrained import Pretrained
from pave.errors import InputError

BATCH_SIZE = 16

UNUSED_WEIGHTS = ("pooler.dense.weight", "pooler.dense.bias", "mask_token")
"""Weights that have no part in the features of patches; many checkpoints lack them."""


class PictureModel:
    """Patch features of a frozen picture model, such as CLIP, SigLIP, DINOv2 or a ViT; a ``Tower``.

    Pictures are squashed to the model's square instead of cropped, so that the patches cover all of them. Weights are
    loaded on first use.

    Args:
        source: The model, with its image processor beside it.
        dtype: Of weights and features.
        device: Such as ``cpu`` or ``cuda:1``; ``auto`` takes a GPU if there is one.

    Raises:
        InputError: If it cannot be read, or its patches form no grid.
    """

    def __init__(self, source: Pretrained, dtype: str, device: str) -> None:
        self._source, self._dtype, self._device = source, dtype, device
        self._config = source.load(AutoConfig)
        self._processor = source.load(AutoImageProcessor)
        vision = getattr(self._config, "vision_config", self._config)
        self._side = _side(vision, self._processor)

    @property
    def width(self) -> int:
        """Feature width Cq."""
        return int(self._blank.shape[-1])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's features."""
        rows, columns = self._blank.shape[1:3]
        return (rows, columns)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a hash of the folder's files."""
        return self._source.identity(self._config)

    @property
    def num_parameters(self) -> int:
        """Weights of the part that sees pictures."""
        return sum(weight.numel() for weight in self._module.parameters())

    @torch.no_grad()
    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        """Return features (T,rows,columns,Cq), on the CPU.

        Args:
            frames: RGB uint8 (T,3,H,W).
            pooled: Has no meaning here; these models do not pool.
        """
        return torch.cat([self._batch(batch) for batch in frames.split(BATCH_SIZE)])

    @cached_property
    def _blank(self) -> Tensor:
        return self.features(torch.zeros(1, 3, self._side, self._side, dtype=torch.uint8))

    def _batch(self, frames: Tensor) -> Tensor:
        size = (self._side, self._side)
        squashed = interpolate(frames.float(), size, mode="bicubic", antialias=True).clamp(0, 255).round().byte()
        made = self._processor(
            images=list(squashed),
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_first",
            return_tensors="pt",
        )
        weight = next(self._module.parameters())
        output = self._module(pixel_values=made["pixel_values"].to(weight.device, weight.dtype))
        return self._gridded(output.last_hidden_state).cpu()

    def _gridded(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 4:
            return hidden.permute(0, 2, 3, 1)
        vision = getattr(self._config, "vision_config", self._config)
        patch = getattr(vision, "patch_size", None)
        whole = isinstance(patch, int) and (self._side // patch) ** 2 <= hidden.shape[1]
        side = self._side // patch if whole else math.isqrt(hidden.shape[1])
        # What stands before the patches, the class token and registers, stands for no place.
        return hidden[:, hidden.shape[1] - side * side :].unflatten(1, (side, side))

    @cached_property
    def _module(self) -> nn.Module:
        return _vision_part(self._source.weights(_vision_part, self._dtype, self._device, UNUSED_WEIGHTS))


def _vision_part(model: Any) -> nn.Module:
    part: nn.Module = getattr(model, "vision_model", model)
    return part


def _side(config: Any, processor: Any) -> int:
    """Return the side of the model's square pictures: what its processor makes, else what the model was made for."""
    stated = {"height": getattr(config, "image_size", None)}
    for size in (getattr(processor, "crop_size", None), getattr(processor, "size", None), stated):
        lengths = dict(size or {})
        for name in ("height", "shortest_edge"):
            if isinstance(lengths.get(name), int):
                return int(lengths[name])
    raise InputError("depth: the vision model does not tell the size of its pictures; name another")
