"""LanguageBind's video tower: CLIP's vision transformer, each layer of which first looks along time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from pave.encoders.published_clip import LAYERS, POSITION_NUMBERS, PREFIX, Clip, read_clip
from pave.encoders.weights import Checkpoint, open_checkpoint
from pave.errors import InputError

CLIP_FRAMES = 8
"""Frames that are looked at together."""

INSIDE_VIDEO_LLAVA = "model.video_tower.video_tower."
"""What tensor names begin with where the tower is part of Video-LLaVA."""

ACTIVATION = "gelu"
"""The exact one: the tower was made from an OpenCLIP model without CLIP's own approximation."""


class TemporalLayer(CLIPEncoderLayer):
    """A layer of CLIP, before which every place of the picture attends to itself along the frames of its clip."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__(config)
        width, eps = config.hidden_size, config.layer_norm_eps
        self.temporal_embedding = nn.Parameter(torch.empty(1, CLIP_FRAMES, width))
        self.temporal_attn = CLIPAttention(config)
        self.temporal_layer_norm1 = nn.LayerNorm(width, eps=eps)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **options: object) -> Tensor:
        """Return tokens (8 n, 1+P, D) of n clips of 8 frames, each clip's one after the other."""
        clips = hidden_states.unflatten(0, (-1, CLIP_FRAMES)).transpose(1, 2)
        # The embedding stays in what the layers add to, and comes anew in every layer.
        places = clips.flatten(0, 1) + self.temporal_embedding
        places = places + self.temporal_attn(self.temporal_layer_norm1(places))[0]
        tokens = places.view(clips.shape).transpose(1, 2).flatten(0, 1)
        return super().forward(tokens, attention_mask, **options)


def open_tower(source: str, revision: str | None, heads: int | None) -> Clip:
    """Find and check the tower, in a file of its own or inside Video-LLaVA.

    Args:
        source: File, folder or hub id.
        revision: Commit, tag or branch of a hub repository.
        heads: Attention heads; by default as in the checkpoint's ``config.json``, else as published.

    Raises:
        InputError: If it cannot be found, is another of LanguageBind's models, or a tensor is missing, unexpected or
            of another shape.
    """
    checkpoint = open_checkpoint(source, revision, _tower_part)
    _check_kind(checkpoint)
    return read_clip(checkpoint, heads, ACTIVATION, TemporalLayer)


def _tower_part(name: str) -> str | None:
    for prefix in (PREFIX, INSIDE_VIDEO_LLAVA):
        if name.startswith(prefix):
            inner = name.removeprefix(prefix).removeprefix(PREFIX)
            return None if inner == POSITION_NUMBERS else inner
    return None


def _check_kind(checkpoint: Checkpoint) -> None:
    """Refuse what is published under similar names.

    Raises:
        InputError: If it is a LoRA, has another stem, or knows nothing of time.
    """
    shapes = checkpoint.shapes
    merged = "name the merged one, LanguageBind/LanguageBind_Video_merge"
    if any("lora_" in name or ".base_layer." in name for name in shapes):
        raise InputError(f"{checkpoint.where}: holds a LoRA and what it was trained on; {merged}")
    if len(shapes.get("embeddings.patch_embedding.weight", ())) == 5:
        raise InputError(f"{checkpoint.where}: its patches span several frames, as in later releases; {merged}")
    if any(name.startswith(LAYERS) for name in shapes) and not any("temporal_" in name for name in shapes):
        raise InputError(f"{checkpoint.where}: has no attention along time, as a plain CLIP has none; {merged}")
