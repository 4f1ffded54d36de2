"""The tiny Qwen2.5-VL: four steps of 2 x 2 tokens, two frames merged into each, placed in time, height and width."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from pave.bases.chatml import CHATML
from pave.blindspot.tiny_base.architecture import FRAME_SIZE
from pave.blindspot.tiny_base.grid import LEAST_PIXELS, MERGE_SIZE, MOST_PIXELS, PICTURE, GridArchitecture
from pave.blindspot.vocabulary import IMAGE, VIDEO

VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
_AXES = 3


class TinyQwen2_5VL(GridArchitecture):  # noqa: N801
    """``Qwen2_5_VLForConditionalGeneration``.

    The upper tokens of a step tell its first frame and the lower ones its second: two frames of a world in which left
    and right matter, and above and below do not, take no more than the four tokens of one.
    """

    family = "qwen2_5_vl"
    shipped_as = "blindspot-qwen2.5-vl"
    frames_per_step = 2
    own_words = (VISION_START, VISION_END)

    def processor(self) -> Qwen2_5_VLProcessor:
        picture = {
            **PICTURE,
            "temporal_patch_size": self.frames_per_step,
            "size": {"shortest_edge": LEAST_PIXELS, "longest_edge": MOST_PIXELS},
        }
        template = CHATML
        for placeholder in (IMAGE, VIDEO):
            template = template.replace(f"{placeholder}\\n", f"{VISION_START}{placeholder}{VISION_END}")
        return Qwen2_5_VLProcessor(
            image_processor=Qwen2VLImageProcessor(**picture),
            tokenizer=self.tokenizer(),
            video_processor=Qwen2VLVideoProcessor(**picture, cap_pixels_per_frame=False),
            chat_template=template,
        )

    def configuration(self) -> Qwen2_5_VLConfig:
        tokens = self.vocabulary()
        # Time, height and width take turns, so that each has frequencies that tell neighbours apart.
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1] * 12}
        return Qwen2_5_VLConfig(
            vision_config={
                "depth": 3,
                "hidden_size": 96,
                "intermediate_size": 128,
                "num_heads": 4,
                "patch_size": PICTURE["patch_size"],
                "spatial_merge_size": MERGE_SIZE,
                "temporal_patch_size": self.frames_per_step,
                "tokens_per_second": 1,
                "window_size": FRAME_SIZE,
                "out_hidden_size": 96,
                "fullatt_block_indexes": [2],
                "initializer_range": 0.08,
            },
            text_config={**self.language(), "rope_parameters": rope},
            image_token_id=tokens[IMAGE],
            video_token_id=tokens[VIDEO],
            vision_start_token_id=tokens[VISION_START],
            vision_end_token_id=tokens[VISION_END],
            tie_word_embeddings=True,
        )

    def create(self, config: Qwen2_5_VLConfig) -> PreTrainedModel:
        return Qwen2_5_VLForConditionalGeneration(config)

    def tower(self, core: Any) -> nn.Module:
        return core.visual

    def projector(self, core: Any) -> nn.Module:
        return core.visual.merger

    def last_linear(self, core: Any) -> nn.Linear:
        return core.visual.merger.mlp[2]

    def encoded(self, core: Any, pixels: Tensor, grids: Tensor) -> Any:
        return core.get_video_features(pixels, grids)

    def positions(self, core: Any, positions: Tensor, has_films: bool) -> Tensor:
        """Return the positions in time, height and width (3,B,L): what follows a film stands near its beginning."""
        placed = positions.expand(_AXES, -1, -1)
        if not has_films:
            return placed
        film = self.film
        of_film, _ = core.get_rope_index(film.tokens[None], mm_token_type_ids=film.types[None], **film.inputs)
        length = len(film.tokens)
        shift = of_film[0, 0, -1] + 1 - length
        return torch.cat([of_film.expand(-1, len(positions), -1), placed[:, :, length:] + shift], dim=2)
