"""What the tiny bases of all families share: their frames, their language model, and what training needs to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.normalizers import Normalizer
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin
from transformers.video_utils import VideoMetadata

from pave.blindspot.vocabulary import IMAGE, PAD, TURN_END, UNKNOWN, VIDEO, vocabulary

FRAME_COUNT = 8
FRAME_SIZE = 32
PATCH_SIZE = 8
_WORD_SCALE = 6.0


@dataclass(frozen=True)
class FilmPrompt:
    """What a film is to the model beside its pixels; all films are sampled alike, so it is one for all.

    Attributes:
        tokens: (P,) all tokens of a user's turn up to the question.
        inputs: What the processor gives beside tokens and pixels, of one film.
        types: (P,) kinds of the tokens, where the processor tells them.
    """

    tokens: Tensor
    inputs: dict[str, Tensor]
    types: Tensor | None


class Architecture(ABC):
    """One family's tiny base: its configurations, and how training reaches its parts.

    Letters: P pictures or videos, T frames, F frames that are merged into one step, S tokens a step, C width.
    """

    family: ClassVar[str]
    """Its ``model_type``."""

    shipped_as: ClassVar[str]
    """Name of the trained one that comes with the package."""

    frames_per_step: ClassVar[int] = 1
    """Frames that the tower merges into one step."""

    own_words: ClassVar[tuple[str, ...]] = ()
    """Words and special tokens beside those of the world."""

    named_tokens: ClassVar[dict[str, str]] = {}
    """Names under which the processor asks the tokenizer for its placeholders."""

    @abstractmethod
    def processor(self) -> ProcessorMixin:
        """Return the processor: frames squashed to 32 x 32, words as tokens, and the chat template."""

    @abstractmethod
    def configuration(self) -> PretrainedConfig:
        """Return the configuration of the model."""

    @abstractmethod
    def create(self, config: Any) -> PreTrainedModel:
        """Return the model of a configuration, its weights drawn from torch's global random state."""

    @abstractmethod
    def tower(self, core: Any) -> nn.Module:
        """Return the vision tower of an inner model."""

    @abstractmethod
    def projector(self, core: Any) -> nn.Module:
        """Return what takes the tower's features to the width of the language model."""

    @abstractmethod
    def last_linear(self, core: Any) -> nn.Linear:
        """Return the layer of the projector that makes the video tokens."""

    @abstractmethod
    def pixels(self, frames: Tensor) -> Tensor:
        """Return the model's pixel input for frames (P,T,3,H,W) in -1..1."""

    @abstractmethod
    def step_tokens(self, core: Any, frames: Tensor) -> Tensor:
        """Return the video tokens (P,S,C) of one step each, from its frames (P,F,3,H,W) in -1..1."""

    def tower_weights(self, core: Any) -> list[nn.Parameter]:
        """Return the weights of the tower without those of the projector."""
        projector = {id(weight) for weight in self.projector(core).parameters()}
        return [weight for weight in self.tower(core).parameters() if id(weight) not in projector]

    def positions(self, core: Any, positions: Tensor, has_films: bool) -> Tensor:
        """Return the positions that the language model is given.

        Args:
            core: The inner model.
            positions: Positions (B,L), each token one further than the one it follows.
            has_films: Whether all rows begin with a film, or none.
        """
        return positions

    def vocabulary(self) -> dict[str, int]:
        """Return every token with its number; those of the world have the same one in every family."""
        return vocabulary(self.own_words)

    def normalizer(self) -> Normalizer:
        """Return what is done to a text before it is cut into words."""
        return normalizers.Lowercase()

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer: one token a word, lower case, punctuation apart."""
        tokenizer = Tokenizer(WordLevel(self.vocabulary(), unk_token=UNKNOWN))
        tokenizer.normalizer = self.normalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), behavior="removed", invert=True)
        special = [word for word in self.own_words if word.startswith("<")]
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            unk_token=UNKNOWN,
            pad_token=PAD,
            eos_token=TURN_END,
            additional_special_tokens=["<|im_start|>", IMAGE, VIDEO, *special],
            clean_up_tokenization_spaces=False,
            model_max_length=2048,
            padding_side="left",
            **self.named_tokens,
        )

    def language(self) -> dict[str, Any]:
        """Return the settings of the language model, the same in every family."""
        tokens = self.vocabulary()
        return {
            "vocab_size": len(tokens),
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "initializer_range": 0.06,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": tokens[TURN_END],
            "pad_token_id": tokens[PAD],
        }

    def model(self, seed: int) -> PreTrainedModel:
        """Return the model with random weights drawn from ``seed``; the global random state is left as it was."""
        tokens = self.vocabulary()
        config = self.configuration()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.create(config)
        _match_alike(model)
        _enlarge_words(model)
        model.generation_config.eos_token_id = tokens[TURN_END]
        model.generation_config.pad_token_id = tokens[PAD]
        return model

    @cached_property
    def film(self) -> FilmPrompt:
        """What the processor makes of a turn that begins with a film, one frame a second."""
        processor = self.processor()
        frames = np.zeros((FRAME_COUNT, FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
        text = processor.apply_chat_template([{"role": "user", "content": [{"type": "video"}]}])
        middles = VideoMetadata(
            total_num_frames=2 * FRAME_COUNT, fps=2, frames_indices=list(range(1, 2 * FRAME_COUNT, 2))
        )
        made = processor(
            text=[text],
            videos=[frames],
            videos_kwargs={
                "do_sample_frames": False,
                "video_metadata": [middles],
                "input_data_format": "channels_last",
            },
            return_tensors="pt",
        )
        tokens = made["input_ids"][0]
        length = int((tokens == self.vocabulary()[TURN_END]).nonzero()[0])
        beside = {
            name: torch.as_tensor(value)
            for name, value in made.items()
            if name not in ("input_ids", "attention_mask", "pixel_values_videos", "mm_token_type_ids")
        }
        types = made.get("mm_token_type_ids")
        return FilmPrompt(tokens[:length], beside, None if types is None else types[0, :length])

    def beside(self, films: int) -> dict[str, Tensor]:
        """Return the inputs that stand beside the pixels of so many films."""
        return {name: torch.cat([value] * films) for name, value in self.film.inputs.items()}


@torch.no_grad()
def _match_alike(model: Any) -> None:
    """Start half of the heads with queries that are their keys, so that a token looks for tokens like itself.

    Mimetic initialisation (Trockman and Kolter, arXiv 2305.09828): looking a word up among the video tokens is then
    there to be sharpened instead of to be found.
    """
    half = model.config.text_config.hidden_size // 2
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.weight[:half] = 2 * layer.self_attn.k_proj.weight[:half]


@torch.no_grad()
def _enlarge_words(model: Any) -> None:
    """Start with words as large as what a layer adds to them, so that no layer drowns them; logits stay as large."""
    model.get_input_embeddings().weight.mul_(_WORD_SCALE)
    model.model.language_model.norm.weight.fill_(1 / _WORD_SCALE)
