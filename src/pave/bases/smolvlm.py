"""SmolVLM: frames shown as images, blocks of patches shuffled into a token, frames of zeros taken for padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import pad
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.squares import block_means, square
from pave.bases.undivided import Step, UndividedFamily

MASK = "pixel_attention_mask"


class SmolVLM(UndividedFamily):
    """``SmolVLMForConditionalGeneration``."""

    method = "get_image_features"
    key = "image"
    pixels = "pixel_values"
    placeholder = "image_token_id"
    language_model = "model.text_model"
    vision_tower = "model.vision_model"
    hint = "this base drops frames that are zero throughout, so leave them out, or give one time a frame"

    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        frames = inputs[self.pixels].flatten(0, 1)
        block = self.config.vision_config.patch_size * self.config.scale_factor
        grid = (frames.shape[-2] // block, frames.shape[-1] // block)
        shown = int((frames != 0).flatten(1).any(dim=1).sum())
        return [Step(1, grid)] * max(shown, 1)

    def batched(self, name: str, parts: Sequence[Tensor]) -> Any:
        if name not in (self.pixels, MASK):
            return super().batched(name, parts)
        # As its processor does it with videos of different frame counts: frames of zeros, which the base drops.
        longest = max(part.shape[1] for part in parts)
        padded = [pad(part, (0, 0) * (part.ndim - 2) + (0, longest - part.shape[1])) for part in parts]
        return super().batched(name, padded)

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return block_means(self.finest(core, output, inputs), self.config.scale_factor).flatten(0, 2)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return square(output.last_hidden_state)

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        return dict(processor([frames], do_sample_frames=False, return_tensors="pt"))

    def without_pixels(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        beside = super().without_pixels(inputs)
        beside.pop(MASK, None)
        return beside
