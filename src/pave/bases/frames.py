"""Families that take frames of one fixed size, as many in each video of a call: pixels (B,F,3,H,W)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.layout import VideoShape
from pave.bases.squares import square
from pave.bases.stacked import StackedFamily


class FrameFamily(StackedFamily):
    """A step is a frame."""

    is_tensor = True

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's tokens, fixed by the configuration."""

    @property
    def frame_grid(self) -> tuple[int, int] | None:
        return self.grid

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        videos, steps = inputs[self.pixels].shape[:2]
        return [(int(steps), self.grid)] * int(videos)

    def hidden(self, output: Any) -> Tensor:
        """Return the tower's features of the patches (frames,patches,Cq), by the layers that the projector reads."""
        layers = self.config.vision_feature_layer
        chosen = [output.hidden_states[layer] for layer in ([layers] if isinstance(layers, int) else layers)]
        features = torch.cat(chosen, dim=-1)
        return features[:, 1:] if self.config.vision_feature_select_strategy == "default" else features

    @property
    def vision_dim(self) -> int:
        layers = getattr(self.config, "vision_feature_layer", -1)
        return super().vision_dim * (1 if isinstance(layers, int) else len(layers))

    def pooled(self, core: Any, patches: Tensor) -> Tensor:
        """Return features of the patches (frames,patches,Cq) pooled as the base pools them (frames,S,Cq)."""
        return patches

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return self.pooled(core, self.hidden(output)).flatten(0, 1)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return square(self.hidden(output))

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        return dict(processor([frames], do_sample_frames=False, return_tensors="pt"))
