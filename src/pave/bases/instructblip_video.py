"""InstructBLIP-Video: learned queries in place of patches, and a ``generate`` of its own that encodes again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from pave.bases.frames import FrameFamily

QUESTION = ("qformer_input_ids", "qformer_attention_mask")


class InstructBlipVideo(FrameFamily):
    """``InstructBlipVideoForConditionalGeneration``; its queries have an order, but no place in the frame."""

    pixels = "pixel_values"
    needs = ("qformer_input_ids",)
    beside = ("qformer_input_ids",)
    vision_width = None
    appends = False
    language_model = "language_model"
    vision_tower = "vision_model"

    @property
    def grid(self) -> tuple[int, int]:
        return (1, int(self.config.num_query_tokens))

    def of_video(self, inputs: Mapping[str, Any], index: int) -> dict[str, Any]:
        # The question that its queries hear stands in a row of its own.
        asked = {name: inputs[name][index : index + 1] for name in QUESTION if inputs.get(name) is not None}
        return {**super().of_video(inputs, index), **asked}

    def without_pixels(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        # Its forward has no default for them.
        return {**super().without_pixels(inputs), self.pixels: None}

    @contextmanager
    def generating(self, model: PreTrainedModel, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        encoded = inputs.get("mm_encoder_outputs")
        if encoded is None:
            yield inputs
            return
        rest = {name: value for name, value in inputs.items() if name != "mm_encoder_outputs"}
        # Its generate knows no other way in than this method, and of the pixels asks the number of rows alone.
        model.get_video_features = lambda *_, **__: encoded["video"]  # type: ignore[method-assign]
        try:
            yield {**rest, self.pixels: torch.empty(len(inputs["input_ids"]), 0)}
        finally:
            del model.get_video_features
