"""The tiny LLaVA-OneVision: eight steps of 2 x 2 tokens and a newline, seen by SigLIP, halved after the projector."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    Qwen2Config,
    SiglipVisionConfig,
)

from pave.bases.chatml import CHATML
from pave.blindspot.tiny_base.architecture import FRAME_SIZE, PATCH_SIZE, Architecture
from pave.blindspot.vocabulary import IMAGE, VIDEO


class TinyLlavaOnevision(Architecture):
    """``LlavaOnevisionForConditionalGeneration``."""

    family = "llava_onevision"
    shipped_as = "blindspot"

    def processor(self) -> LlavaOnevisionProcessor:
        picture = {
            "size": {"height": FRAME_SIZE, "width": FRAME_SIZE},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }
        return LlavaOnevisionProcessor(
            image_processor=LlavaOnevisionImageProcessor(image_grid_pinpoints=[[FRAME_SIZE, FRAME_SIZE]], **picture),
            tokenizer=self.tokenizer(),
            video_processor=LlavaOnevisionVideoProcessor(**picture),
            num_image_tokens=(FRAME_SIZE // PATCH_SIZE) ** 2,
            vision_feature_select_strategy="full",
            chat_template=CHATML,
        )

    def configuration(self) -> LlavaOnevisionConfig:
        tokens = self.vocabulary()
        return LlavaOnevisionConfig(
            vision_config=SiglipVisionConfig(
                hidden_size=96,
                intermediate_size=192,
                num_hidden_layers=3,
                num_attention_heads=4,
                image_size=FRAME_SIZE,
                patch_size=PATCH_SIZE,
                vision_use_head=False,
            ),
            text_config=Qwen2Config(**self.language()),
            image_token_index=tokens[IMAGE],
            video_token_index=tokens[VIDEO],
            image_grid_pinpoints=[[FRAME_SIZE, FRAME_SIZE]],
            tie_word_embeddings=True,
        )

    def create(self, config: LlavaOnevisionConfig) -> PreTrainedModel:
        return LlavaOnevisionForConditionalGeneration(config)

    def tower(self, core: Any) -> nn.Module:
        return core.vision_tower

    def projector(self, core: Any) -> nn.Module:
        return core.multi_modal_projector

    def last_linear(self, core: Any) -> nn.Linear:
        return core.multi_modal_projector.linear_2

    def pixels(self, frames: Tensor) -> Tensor:
        return frames

    def step_tokens(self, core: Any, frames: Tensor) -> Tensor:
        grid = core.vision_tower(frames[:, 0], output_hidden_states=True).hidden_states[-1]
        return core.apply_pooling(core.multi_modal_projector(grid))
