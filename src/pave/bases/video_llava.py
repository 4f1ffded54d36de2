"""Video-LLaVA: a video tower whose class token stays, before the patches of each frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pave.bases.frames import FrameFamily


class VideoLlava(FrameFamily):
    """``VideoLlavaForConditionalGeneration``; its class token has a placeholder but no place: no patch acts on it."""

    lead = 1
    entries = "step"
    vision_tower = "model.video_tower"

    @property
    def grid(self) -> tuple[int, int]:
        side = self.config.vision_config.image_size // self.config.vision_config.patch_size
        return (side, side)

    def hidden(self, output: Any) -> Tensor:
        layers = self.config.vision_feature_layer
        chosen = [output.hidden_states[layer] for layer in ([layers] if isinstance(layers, int) else layers)]
        return torch.cat(chosen, dim=-1)[:, 1:]
