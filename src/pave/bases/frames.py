"""Families that take frames of one fixed size, as many in each video of a call: pixels (B,F,3,H,W)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.family import Family
from pave.bases.layout import VideoShape
from pave.bases.squares import square
from pave.errors import InputError
from pave.types import VideoTokens


class FrameFamily(Family):
    """A step is a frame.

    Videos of different frame counts come as a list of pixels, (F,3,H,W) or (1,F,3,H,W) each. They are encoded one by
    one and handed over together, which the base itself cannot do.
    """

    is_tensor = True
    appends = True

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

    def batched(self, name: str, parts: Sequence[Tensor]) -> Any:
        if name == self.pixels and len({part.shape[1:] for part in parts}) > 1:
            return list(parts)
        return super().batched(name, parts)

    def must_encode(self, inputs: Mapping[str, Any]) -> bool:
        return isinstance(inputs.get(self.pixels), list | tuple)

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        if not self.must_encode(inputs):
            return super().encode(model, inputs, times_sec, vision)
        pixels = inputs[self.pixels]
        if times_sec is not None and len(times_sec) != len(pixels):
            raise InputError(
                f"video_times_sec has {len(times_sec)} entries, the batch {len(pixels)} videos; give one a video"
            )
        times: Sequence[Any] = [None] * len(pixels) if times_sec is None else [[given] for given in times_sec]
        return [
            super(FrameFamily, self).encode(model, self.of_video(inputs, index), given, vision)[0]
            for index, given in enumerate(times)
        ]

    def of_video(self, inputs: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Return the inputs of one video out of a list of pixels."""
        pixels = inputs[self.pixels][index]
        return {**inputs, self.pixels: pixels if pixels.ndim == 5 else pixels.unsqueeze(0)}

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

    def patches(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return square(self.hidden(output))

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        return dict(processor([frames], do_sample_frames=False, return_tensors="pt"))
