"""The vision tower of a loaded base as a feature extractor: frames in, features from before the projector out."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from transformers import PreTrainedModel
from transformers.video_processing_utils import BaseVideoProcessor

from pave.errors import InputError

if TYPE_CHECKING:
    from pave.bases.family import Family

FRAMES_AT_ONCE = 8


class BaseTower:
    """The frozen tower of a base; a :class:`pave.encoders.tower.Tower`.

    Args:
        family: The family of the base.
        model: The base.
        video_processor: The base's own video processor.
    """

    def __init__(self, family: Family, model: PreTrainedModel, video_processor: BaseVideoProcessor) -> None:
        self._family = family
        self._model = model
        self._video_processor = video_processor

    @property
    def width(self) -> int:
        """Feature width Cq."""
        return self._family.vision_dim

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of a frame's features after the base's own pooling; ``None`` if its size decides them."""
        return self._family.frame_grid

    @cached_property
    def revision(self) -> str:
        """Hash of weights and preprocessing."""
        digest = hashlib.sha256(self._video_processor.to_json_string().encode())
        digest.update(str(self._model.dtype).encode())
        for name, weight in self._model.get_submodule(self._family.vision_tower).state_dict().items():
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    @torch.no_grad()
    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        """Return features (T,rows,columns,Cq) of frames uint8 (T,3,H,W), on the CPU, in the base's dtype.

        Args:
            frames: RGB, T at least 1, of any size; they are scaled as the base scales its videos.
            pooled: Whether the base's own pooling is applied; otherwise they are the finest: one a patch, or as the
                tower itself merges them.

        Raises:
            InputError: In a data loader's process, if the base is on an accelerator, which only one process can use.
        """
        if get_worker_info() is not None and self._model.device.type != "cpu":
            raise InputError(
                "the base's tower is on an accelerator, which data-loading processes cannot use; set workers: 0, or "
                "let cache_video_tokens hold the side channels"
            )
        parts = [self._batch(batch, pooled).cpu() for batch in frames.split(FRAMES_AT_ONCE)]
        return torch.cat(parts)

    def _batch(self, frames: Tensor, pooled: bool) -> Tensor:
        inputs = self._family.frame_inputs(self._video_processor, frames)
        moved = {
            name: value.to(self._model.device, self._model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        return self._family.frame_features(self._model.base_model, moved, pooled)
