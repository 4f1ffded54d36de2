"""The vision tower under an original-layout checkpoint: inside it, or a SigLIP of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import LlavaOnevisionConfig, SiglipVisionConfig

from pave.config import read_json
from pave.encoders.weights import Stored, open_checkpoint
from pave.errors import InputError
from pave.shipped import locate

INSIDE = "model.vision_tower.vision_tower.vision_model."
SEPARATE = "vision_model."
UNTOLD = ("num_attention_heads", "image_size")
"""What the shapes of a tower's weights do not tell."""

GUESSED_HEADS = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tower:
    """A SigLIP tower as LLaVA-OneVision uses it: without its last layer and its head.

    Args:
        tensors: Its tensors, by their names in a bare SigLIP.
        prefix: What stands before these names where they are stored.
        config: Its configuration.
        origin: Where its weights are from.
        heads_origin: What says its head count and frame size, which weights do not tell.
    """

    tensors: dict[str, Stored]
    prefix: str
    config: SiglipVisionConfig
    origin: str
    heads_origin: str


def find_tower(
    inside: dict[str, Stored],
    named: str | None,
    given: str | Path | None,
    heads: int | None,
    image_size: int | None,
) -> Tower:
    """Return the tower of a checkpoint.

    Args:
        inside: The tower's tensors in the checkpoint, by their names in a bare SigLIP; empty if it holds none.
        named: What the checkpoint's configuration calls its tower.
        given: Folder or hub id of a SigLIP to use in its place; of a checkpoint with a tower, which was tuned with it,
            only the configuration of this one is used.
        heads: Attention heads, if no configuration is to say it.
        image_size: Height and width of its frames in pixels, likewise.

    Raises:
        InputError: If there is no tower, a tensor is missing, or heads or frame size do not fit its shapes.
    """
    source = given if given is not None or inside else named
    folder = None if source is None else locate(source, {}, "vision tower")
    if folder is None and not inside:
        raise InputError("the checkpoint holds no vision tower and names none; give the folder or id of a SigLIP")
    configured = None if folder is None else _configuration(folder)
    if inside:
        tensors, prefix, origin = inside, INSIDE, "checkpoint"
    else:
        assert folder is not None
        stored = open_checkpoint(str(folder), None, part=str).tensors
        tensors, prefix, origin = _without_end(stored), SEPARATE, str(source)
    sizes, positions = _sizes(tensors, prefix, origin)
    known, heads_origin = _known(sizes, positions, configured)
    told = {"num_attention_heads": heads, "image_size": image_size}
    chosen = {**known, **{key: value for key, value in told.items() if value is not None}}
    if None not in told.values():
        heads_origin = "told"
    elif heads_origin == "guess":
        logger.warning(
            "this vision tower is no released one and its weights do not tell its heads (taken: %d) and the pixels of "
            "a frame's side (taken: %d): tell them, or give a folder with the tower's config.json",
            *chosen.values(),
        )
    _check(sizes, positions, chosen)
    return Tower(tensors, prefix, SiglipVisionConfig(**sizes, **chosen, vision_use_head=False), origin, heads_origin)


def _configuration(folder: Path) -> Mapping[str, int]:
    path = folder / "config.json"
    data = read_json(path)
    if not str(data.get("model_type", "siglip")).startswith("siglip"):
        raise InputError(f"{path}: describes a {data['model_type']}; give the folder of a SigLIP")
    vision = data.get("vision_config", data)
    for key in UNTOLD:
        if not isinstance(vision.get(key), int):
            raise InputError(f"{path}: lacks a whole number {key!r} of the vision tower")
    return {key: vision[key] for key in UNTOLD}


def _without_end(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """Keep the vision part of a whole SigLIP, but for its head and last layer, which the reference deletes, too."""
    if any(name.startswith(SEPARATE) for name in stored):
        stored = {name.removeprefix(SEPARATE): tensor for name, tensor in stored.items() if name.startswith(SEPARATE)}
    last = f"encoder.layers.{_layers(stored) - 1}."
    return {name: tensor for name, tensor in stored.items() if not name.startswith(("head.", last))}


def _layers(tensors: Mapping[str, Stored]) -> int:
    numbers = [name.split(".")[2] for name in tensors if name.startswith("encoder.layers.")]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def _sizes(tensors: Mapping[str, Stored], prefix: str, origin: str) -> tuple[dict[str, int], int]:
    """Return what the tower's shapes say of it, and its number of positions."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        if name not in tensors:
            raise InputError(f"vision tower of {origin}: tensor {prefix + name!r} is missing")
        stored = tensors[name]
        if len(stored.shape) != dimensions:
            raise InputError(
                f"{stored.file}: tensor {stored.name!r} has shape {stored.shape}; it must have {dimensions} dimensions"
            )
        return stored.shape

    width, channels, _, patch_size = shape("embeddings.patch_embedding.weight", 4)
    sizes = {
        "hidden_size": width,
        "num_channels": channels,
        "patch_size": patch_size,
        "intermediate_size": shape("encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": _layers(tensors),
    }
    return sizes, shape("embeddings.position_embedding.weight", 2)[0]


def _known(
    sizes: Mapping[str, int], positions: int, configured: Mapping[str, int] | None
) -> tuple[Mapping[str, int], str]:
    """Return head count and frame size, and what says them: a configuration, or the tower that all releases share."""
    if configured is not None:
        return configured, "configuration"
    released = LlavaOnevisionConfig().vision_config
    if all(getattr(released, key) == value for key, value in sizes.items()):
        return {key: getattr(released, key) for key in UNTOLD}, "released tower"
    largest = (math.isqrt(positions) + 1) * sizes["patch_size"] - 1
    return {"num_attention_heads": GUESSED_HEADS, "image_size": largest}, "guess"


def _check(sizes: Mapping[str, int], positions: int, chosen: Mapping[str, int]) -> None:
    heads, image_size = chosen["num_attention_heads"], chosen["image_size"]
    width, patch_size = sizes["hidden_size"], sizes["patch_size"]
    if heads < 1 or width % heads:
        raise InputError(f"vision tower: its width {width} does not divide into {heads} heads; give the right number")
    if (image_size // patch_size) ** 2 != positions:
        raise InputError(
            f"vision tower: a frame of {image_size} pixels has {(image_size // patch_size) ** 2} patches of "
            f"{patch_size} pixels, but the weights have {positions} positions; give the right frame size"
        )
