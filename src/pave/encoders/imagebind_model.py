"""ImageBind's audio branch: a vision transformer over log-mel spectrograms, under its published tensor names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pave.encoders.weights import Shape, count_layers, transformer_widths
from pave.errors import InputError

MELS = 128
FRAMES = 204
PATCH = 16
STRIDE = 10
GRID = ((MELS - PATCH) // STRIDE + 1, (FRAMES - PATCH) // STRIDE + 1)
"""Patches of a spectrogram, mel by time; they overlap, and the positions were learnt for this grid alone."""

BLOCKS = "modality_trunks.audio.blocks."
STEM_EPS, EPS = 1e-5, 1e-6
LARGEST_SCALE = 100.0


class ImageBindAudio(nn.Module):
    """Log-mel spectrograms to one embedding each; submodules are named so that tensors have their published names.

    Args:
        width: Inside the trunk.
        layers: Blocks of the trunk.
        heads: Attention heads.
        hidden: Width inside the blocks' feed-forward.
        embedding: Width D of the output.
    """

    def __init__(self, width: int, layers: int, heads: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.modality_preprocessors = nn.ModuleDict({"audio": _Patches(width)})
        self.modality_trunks = nn.ModuleDict({"audio": _Trunk(width, layers, heads, hidden)})
        head = nn.Sequential(nn.LayerNorm(width, eps=EPS), _First(), nn.Linear(width, embedding, bias=False))
        self.modality_heads = nn.ModuleDict({"audio": head})
        self.modality_postprocessors = nn.ModuleDict({"audio": nn.Sequential(_Normalise(), _Scale())})

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return embeddings (B,D), all of one length, of normalised spectrograms (B,1,128,204)."""
        tokens = self.modality_preprocessors["audio"](spectrograms)
        for part in (self.modality_trunks, self.modality_heads, self.modality_postprocessors):
            tokens = part["audio"](tokens)
        return tokens


def audio_part(name: str) -> str | None:
    """Return a tensor's name if it is one of the audio branch; other branches stand in the same published file."""
    parts = name.split(".")
    return name if len(parts) > 1 and parts[1] == "audio" else None


def outline(shapes: Mapping[str, Shape], heads: int) -> ImageBindAudio:
    """Return the network whose sizes are those of a checkpoint, without weights.

    Args:
        shapes: Of the checkpoint's tensors by name.
        heads: Attention heads, which shapes do not tell.

    Raises:
        InputError: If the width does not divide into the heads.
    """
    width, hidden = transformer_widths(shapes)
    embedding = (shapes.get("modality_heads.audio.2.weight") or (1,))[0]
    if not width or width % heads:
        raise InputError(f"imagebind: width {width} of the weights does not divide into {heads} heads; set 'heads'")
    with torch.device("meta"):
        return ImageBindAudio(width, count_layers(shapes, BLOCKS), heads, hidden, embedding).eval()


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.rgbt_stem = nn.ModuleDict(
            {
                "proj": nn.Conv2d(1, width, PATCH, STRIDE, bias=False),
                "norm_layer": nn.LayerNorm(width, eps=STEM_EPS),
            }
        )
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": torch.empty(1, 1 + GRID[0] * GRID[1], width)})

    def forward(self, spectrograms: Tensor) -> Tensor:
        patches = self.rgbt_stem["proj"](spectrograms).flatten(2).transpose(1, 2)
        patches = self.rgbt_stem["norm_layer"](patches)
        first = self.cls_token.expand(len(patches), -1, -1)
        return torch.cat([first, patches], dim=1) + self.pos_embedding_helper["pos_embed"]


class _Trunk(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(width, heads, hidden) for _ in range(layers)))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blocks(tokens)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        # One learnt key and value more than there are tokens.
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=True, batch_first=True)
        self.norm_1 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})
        self.norm_2 = nn.LayerNorm(width, eps=EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm_2(tokens))))


class _First(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


class _Normalise(nn.Module):
    def forward(self, embeddings: Tensor) -> Tensor:
        return normalize(embeddings, dim=-1)


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_logit_scale", torch.empty(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        return embeddings * self.log_logit_scale.exp().clamp(max=LARGEST_SCALE)
