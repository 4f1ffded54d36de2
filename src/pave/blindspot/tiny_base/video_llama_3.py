"""The tiny VideoLLaMA3: eight steps of 2 x 2 tokens, each after its time in words, merged inside the tower."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Regex, normalizers
from tokenizers.normalizers import Normalizer
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    Qwen2Config,
    VideoLlama3Config,
    VideoLlama3ForConditionalGeneration,
    VideoLlama3ImageProcessor,
    VideoLlama3Processor,
    VideoLlama3VideoProcessor,
    VideoLlama3VisionConfig,
)

from pave.bases.chatml import CHATML
from pave.blindspot.tiny_base.architecture import FRAME_COUNT
from pave.blindspot.tiny_base.grid import LEAST_PIXELS, MERGE_SIZE, MOST_PIXELS, PICTURE, GridArchitecture
from pave.blindspot.vocabulary import IMAGE, VIDEO


class TinyVideoLlama3(GridArchitecture):
    """``VideoLlama3ForConditionalGeneration``.

    Its processor writes ``Time 0.5s:`` before each frame, of which the tokenizer keeps the whole seconds, one word.
    Tokens that hardly change are kept: where nothing moves, a sound would else have no token to be told in.
    """

    family = "video_llama_3"
    shipped_as = "blindspot-video-llama-3"
    own_words = ("0",)

    def processor(self) -> VideoLlama3Processor:
        picture = {"size": {"shortest_edge": LEAST_PIXELS, "longest_edge": MOST_PIXELS}}
        film = {"size": {"shortest_edge": LEAST_PIXELS, "longest_edge": FRAME_COUNT * MOST_PIXELS}}
        return VideoLlama3Processor(
            image_processor=VideoLlama3ImageProcessor(**PICTURE, **picture),
            tokenizer=self.tokenizer(),
            video_processor=VideoLlama3VideoProcessor(
                **PICTURE, **film, temporal_patch_size=1, use_token_compression=False
            ),
            chat_template=CHATML,
        )

    def normalizer(self) -> Normalizer:
        stamp = [(r"time (?=\d+\.\ds:)", ""), (r"(?<=\d)\.\ds:", " ")]
        return normalizers.Sequence(
            [normalizers.Lowercase(), *(normalizers.Replace(Regex(cut), left) for cut, left in stamp)]
        )

    def configuration(self) -> VideoLlama3Config:
        tokens = self.vocabulary()
        return VideoLlama3Config(
            vision_config=VideoLlama3VisionConfig(
                hidden_size=96,
                intermediate_size=192,
                num_hidden_layers=3,
                num_attention_heads=4,
                patch_size=PICTURE["patch_size"],
                initializer_range=0.08,
            ),
            text_config=Qwen2Config(**self.language()),
            image_token_id=tokens[IMAGE],
            video_token_id=tokens[VIDEO],
            tie_word_embeddings=True,
        )

    def create(self, config: VideoLlama3Config) -> PreTrainedModel:
        return VideoLlama3ForConditionalGeneration(config)

    def tower(self, core: Any) -> nn.Module:
        return core.vision_model

    def projector(self, core: Any) -> nn.Module:
        return core.projector

    def last_linear(self, core: Any) -> nn.Linear:
        return core.projector.readout[2]

    def encoded(self, core: Any, pixels: Tensor, grids: Tensor) -> Any:
        merges = torch.full((len(grids),), MERGE_SIZE)
        return core.get_video_features(pixels, grids, merges)
