"""Tiny random weights under the names that the paper's encoders are published with."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "encoders" / "golden"
"""Outputs of the encoders' own code on random weights."""

State = dict[str, Tensor]


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Weights that keep activations near one; norms near the identity."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        is_norm = "norm" in name or ".audio.0." in name
        fan_in = math.prod(shape[1:]) if len(shape) > 1 and shape[0] > 1 else 25
        state[name] = (1.0 if is_norm and name.endswith("weight") else 0.0) + values / fan_in**0.5
    return state


def imagebind_state(embedding: int = 24, width: int = 32, layers: int = 2, hidden: int = 64, seed: int = 0) -> State:
    """ImageBind's audio branch; takes any number of heads that divides the width."""
    block = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.bias_k": (1, 1, width),
        "attn.bias_v": (1, 1, width),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "norm_1.weight": (width,),
        "norm_1.bias": (width,),
        "mlp.fc1.weight": (hidden, width),
        "mlp.fc1.bias": (hidden,),
        "mlp.fc2.weight": (width, hidden),
        "mlp.fc2.bias": (width,),
        "norm_2.weight": (width,),
        "norm_2.bias": (width,),
    }
    shapes = {
        "modality_preprocessors.audio.cls_token": (1, 1, width),
        "modality_preprocessors.audio.rgbt_stem.proj.weight": (width, 1, 16, 16),
        "modality_preprocessors.audio.rgbt_stem.norm_layer.weight": (width,),
        "modality_preprocessors.audio.rgbt_stem.norm_layer.bias": (width,),
        "modality_preprocessors.audio.pos_embedding_helper.pos_embed": (1, 229, width),
        **{f"modality_trunks.audio.blocks.{i}.{name}": shape for i in range(layers) for name, shape in block.items()},
        "modality_heads.audio.0.weight": (width,),
        "modality_heads.audio.0.bias": (width,),
        "modality_heads.audio.2.weight": (embedding, width),
    }
    state = random_state(shapes, seed)
    state["modality_postprocessors.audio.1.log_logit_scale"] = torch.tensor(math.log(20))
    return state


def clip_state(
    width: int = 16, layers: int = 3, hidden: int = 24, image_size: int = 28, temporal: bool = False, seed: int = 0
) -> State:
    """CLIP's vision part with patches of 14 pixels, or LanguageBind's tower."""
    linear = {"weight": (width, width), "bias": (width,)}
    norm = {"weight": (width,), "bias": (width,)}
    parts = {f"self_attn.{part}_proj": linear for part in "qkv"} | {"self_attn.out_proj": linear}
    parts |= {"layer_norm1": norm, "layer_norm2": norm}
    parts["mlp.fc1"] = {"weight": (hidden, width), "bias": (hidden,)}
    parts["mlp.fc2"] = {"weight": (width, hidden), "bias": (width,)}
    if temporal:
        parts |= {f"temporal_attn.{part}_proj": linear for part in ("q", "k", "v", "out")}
        parts["temporal_layer_norm1"] = norm
    layer = {f"{part}.{name}": shape for part, shapes in parts.items() for name, shape in shapes.items()}
    if temporal:
        layer["temporal_embedding"] = (1, 8, width)
    shapes = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "embeddings.position_embedding.weight": ((image_size // 14) ** 2 + 1, width),
        "pre_layrnorm.weight": (width,),
        "pre_layrnorm.bias": (width,),
        **{f"encoder.layers.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()},
        "post_layernorm.weight": (width,),
        "post_layernorm.bias": (width,),
    }
    return {f"vision_model.{name}": value for name, value in random_state(shapes, seed).items()}


def position_state(width: int = 16, seed: int = 0) -> State:
    """LLaVA-3D's position embedding."""
    shapes = {"0.weight": (width, 3), "0.bias": (width,), "1.weight": (width,), "1.bias": (width,)}
    shapes |= {"3.weight": (width, width), "3.bias": (width,)}
    start = "model.video_tower.video_tower.positional_embedding.position_embedding_head."
    return {start + name: value for name, value in random_state(shapes, seed).items()}


def save_imagebind(path: Path, embedding: int = 24) -> Path:
    """Write the audio branch as ImageBind is published: among the tensors of its other branches."""
    others = {
        "modality_preprocessors.vision.cls_token": torch.zeros(1, 1, 8),
        "modality_heads.text.proj": torch.ones(2),
    }
    return save(path, imagebind_state(embedding) | others)


def save(path: Path, state: State) -> Path:
    """Write a pickle or a ``.safetensors``, by the suffix."""
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def assert_same_spectra(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Check that log-power spectra have the same amplitudes, to 1e-5 of each and 2e-5 of the loudest.

    The logarithm of near silence beside loud sound shows how a processor rounds, which differs.
    """
    found, expected = (torch.exp(spectrum / 2) for spectrum in (found, expected))
    torch.testing.assert_close(found, expected, atol=2e-5 * expected.max().item(), rtol=1e-5)
