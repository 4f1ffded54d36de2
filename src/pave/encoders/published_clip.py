"""CLIP's vision transformer of transformers, sized by a published checkpoint: the part that patches are read from.

Features are taken before the last layer, which is therefore never built; its tensors are asked for all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.activations import ACT2FN

from pave.encoders.published import fill
from pave.encoders.weights import Checkpoint, Shape, count_layers, transformer_widths
from pave.errors import InputError

PREFIX = "vision_model."
"""What tensor names begin with where CLIP is published."""

LAYERS = "encoder.layers."
POSITION_NUMBERS = "embeddings.position_ids"
"""Counts from 0 on; some files hold it."""

HEADS = 16


@dataclass(frozen=True)
class Clip:
    """A checkpoint of CLIP's vision part, or of a model that is built like it.

    Args:
        checkpoint: Its tensors without :data:`PREFIX`.
        config: Its sizes, all layers counted.
        outline: Its network on the meta device, without the last layer.
    """

    checkpoint: Checkpoint
    config: CLIPVisionConfig
    outline: nn.Module

    @property
    def image_size(self) -> int:
        """Height and width of a picture in pixels."""
        return int(self.config.image_size)

    @property
    def rows(self) -> int:
        """Rows, and columns, of patches in a picture."""
        return int(self.config.image_size // self.config.patch_size)

    @property
    def width(self) -> int:
        """Feature width D."""
        return int(self.config.hidden_size)

    def load(self) -> nn.Module:
        """Return the network with its weights."""
        module = fill(self.outline, self.checkpoint)
        # Counted, not stored, so that the outline's have no numbers.
        module.embeddings.position_ids = torch.arange(self.rows**2 + 1).unsqueeze(0)
        return module

    @property
    def identity(self) -> str:
        """What identifies the weights and what their shapes do not tell."""
        told = f"{self.config.num_attention_heads} {self.config.hidden_act} {self.config.layer_norm_eps}"
        return f"{self.checkpoint.revision(self.outline.state_dict())} {told}"


def read_clip(
    checkpoint: Checkpoint,
    heads: int | None,
    activation: str,
    make_layer: Callable[[CLIPVisionConfig], nn.Module] | None = None,
) -> Clip:
    """Size and check CLIP's vision part.

    Args:
        checkpoint: Its tensors without :data:`PREFIX`.
        heads: Attention heads; by default as in the checkpoint's ``config.json``, else as published.
        activation: Where no ``config.json`` says it.
        make_layer: Makes a layer in place of CLIP's own.

    Raises:
        InputError: If a tensor is missing, unexpected or of another shape, or the sizes do not fit one another.
    """
    config = _config(checkpoint, heads, activation)
    whole = _network(config, config.num_hidden_layers, make_layer)
    checkpoint.check({name: tuple(value.shape) for name, value in whole.state_dict().items()})
    return Clip(checkpoint, config, _network(config, config.num_hidden_layers - 1, make_layer))


def hidden_states(module: nn.Module, pixels: Tensor) -> Tensor:
    """Return the tokens (B,1+P,D) of pictures (B,3,H,W) after the network's last layer, the class token first."""
    output: Tensor = module(pixels).last_hidden_state
    return output


def _config(checkpoint: Checkpoint, heads: int | None, activation: str) -> CLIPVisionConfig:
    shapes = checkpoint.shapes
    width, hidden = transformer_widths(shapes)
    patch_size = _shape(checkpoint, "embeddings.patch_embedding.weight", 4)[3]
    rows = math.isqrt(max(1, _shape(checkpoint, "embeddings.position_embedding.weight", 2)[0] - 1))
    layers = count_layers(shapes, LAYERS)
    if layers < 2:
        raise InputError(f"{checkpoint.where}: holds {layers} layers; features are taken before the last of several")
    stated = checkpoint.settings.get("vision_config", checkpoint.settings)
    chosen = heads or _stated(checkpoint, stated, "num_attention_heads", int, HEADS)
    if not width or width % chosen:
        raise InputError(f"{checkpoint.where}: width {width} does not divide into {chosen} heads; set 'heads'")
    activation = _stated(checkpoint, stated, "hidden_act", str, activation)
    if activation not in ACT2FN:
        raise InputError(f"{checkpoint.where}: config.json names the activation {activation!r}, which is not known")
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=chosen,
        image_size=rows * patch_size,
        patch_size=patch_size,
        hidden_act=activation,
        layer_norm_eps=_stated(checkpoint, stated, "layer_norm_eps", float, 1e-5),
    )


def _shape(checkpoint: Checkpoint, name: str, dimensions: int) -> Shape:
    stored = checkpoint.tensors.get(name)
    if stored is None:
        raise InputError(f"{checkpoint.where}: tensor {PREFIX + name!r} is missing")
    if len(stored.shape) != dimensions:
        raise InputError(
            f"{stored.file}: tensor {stored.name!r} has shape {stored.shape}, not {dimensions} dimensions"
        )
    return stored.shape


def _stated(checkpoint: Checkpoint, settings: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = settings.get(key, default)
    if not isinstance(value, kind):
        raise InputError(
            f"{checkpoint.where}: config.json says {key} is {value!r}; it must be of type {kind.__name__}"
        )
    return value


def _network(
    config: CLIPVisionConfig, layers: int, make_layer: Callable[[CLIPVisionConfig], nn.Module] | None
) -> nn.Module:
    with torch.device("meta"):
        network = CLIPVisionModel._from_config(CLIPVisionConfig(**{**config.to_dict(), "num_hidden_layers": layers}))
        if make_layer is not None:
            network.encoder.layers = nn.ModuleList([make_layer(network.config) for _ in range(layers)])
    return network.eval()
