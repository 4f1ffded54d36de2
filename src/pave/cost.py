"""What a base and a patch on it cost: parameters and floating-point operations, exact, from configurations alone.

Everything runs on torch's meta device, which knows shapes and holds no numbers. A multiply-add counts as two
operations; only matrix products and convolutions count; attention counts as the full square, also where it is causal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText, PretrainedConfig, PreTrainedModel

from pave.bases import family_of
from pave.config import BaseRecord, LoraSpec, PatchConfig, from_dict
from pave.encoders import build
from pave.encoders import registry as encoders
from pave.errors import InputError
from pave.model import PaveModel

_NAME = "patch"


@dataclass(frozen=True)
class Scene:
    """What goes through the model.

    Args:
        frames: Sampled frames of the video.
        prompt_tokens: Text tokens beside the video's.
        height: Of a frame in pixels, for a base that takes frames in their own size.
        width: Of a frame in pixels, likewise.

    Raises:
        InputError: On a value below 1.
    """

    frames: int = 32
    prompt_tokens: int = 32
    height: int = 360
    width: int = 640

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True)
class Part:
    """One part of a model: its parameters, and its operations for one video and the prompt's prefill."""

    name: str
    parameters: int
    flops: int


@dataclass(frozen=True)
class BaseCost:
    """Cost of a base.

    Args:
        parts: Tower, projector, language model and whatever else it has; their sums are the base's.
        steps: Video steps T.
        tokens: Video tokens a step S.
        sequence: Tokens that the language model reads: the video's and the prompt's.
    """

    parts: tuple[Part, ...]
    steps: int
    tokens: int
    sequence: int

    @property
    def total(self) -> Part:
        """The base as a whole."""
        return Part("base", sum(part.parameters for part in self.parts), sum(part.flops for part in self.parts))


def meta_model(config: PretrainedConfig, name: str = "base") -> PaveModel:
    """Return the base of a configuration on the meta device, without weights.

    Args:
        config: Of the base.
        name: Of the base, for error messages.

    Raises:
        InputError: If its family is not supported.
    """
    family = family_of(config)
    with torch.device("meta"):
        base = AutoModelForImageTextToText.from_config(config)
    return PaveModel(base, BaseRecord(name, config.model_type, family.token_dim, family.vision_dim))


def count_base(model: PaveModel, scene: Scene, layout: str | None = None) -> BaseCost:
    """Count a base without patches, from :func:`meta_model`, that reads one video and generates a first token.

    Args:
        model: The base.
        scene: What it reads.
        layout: Layout of its video and newline tokens; by default its own.

    Raises:
        InputError: If the base takes its video in a form that is not known here.
    """
    base, core = model.base, model.base.base_model
    inputs, steps = _one_step(base.config, scene)
    with _flops_by_child(core) as flops, torch.no_grad():
        core.get_video_features(**inputs, return_dict=True)
    # Towers read each step on its own, so that one step tells the cost of all.
    flops = {name: count * steps for name, count in flops.items()}
    ((_, grid),) = model.family.shapes(inputs)
    sequence = model.family.token_count(steps, grid, layout or model.layout) + scene.prompt_tokens
    language_model = model.family.language_model.rsplit(".", 1)[-1]
    flops[language_model] = _prefill_flops(base, language_model, sequence)
    parameters = _parameters_by_child(base, core, language_model)
    parts = tuple(Part(name.replace("_", " "), parameters[name], flops.get(name, 0)) for name in parameters)
    return BaseCost(parts, steps, grid[0] * grid[1], sequence)


def count_patch(
    model: PaveModel,
    base: BaseCost,
    patch: PatchConfig | None,
    lora: LoraSpec | None,
    side_steps: int,
    side_tokens: int,
) -> list[Part]:
    """Count a patch and its LoRA on a base from :func:`meta_model`; the model is left without them.

    Args:
        model: The base.
        base: Its cost.
        patch: The fusion module, if any.
        lora: The LoRA on the language model, if any; it acts on every token.
        side_steps: K.
        side_tokens: N.

    Raises:
        InputError: If the patch does not fit the base.
    """
    with torch.device("meta"):
        model.add_patch(_NAME, patch, lora)
    parts = []
    if patch is not None:
        module = model.patches[_NAME]
        flops = module.flops(base.steps, base.tokens, side_steps, side_tokens)
        parts.append(Part("patch", sum(weight.numel() for weight in module.parameters()), flops))
    if lora is not None:
        parameters = sum(weight.numel() for weight in model.lora.parameters(_NAME))
        parts.append(Part("LoRA", parameters, 2 * parameters * base.sequence))
    model.remove_patch(_NAME)
    return parts


@dataclass(frozen=True)
class EncoderCost:
    """Cost of an encoder.

    Args:
        part: Its parameters, and its operations for the whole of the media.
        steps: Side steps K that it makes.
        tokens: Tokens a step N, or ``None`` where only its files tell.
    """

    part: Part
    steps: int
    tokens: int | None


def count_encoder(settings: dict[str, Any], seconds: float, model: PaveModel, scene: Scene) -> EncoderCost:
    """Count an encoder over media of so many seconds; a released model of known size needs no download.

    Args:
        settings: Of the encoder, with its name under ``type``.
        seconds: Length of the media.
        model: The base, whose tower the encoder may work with; from :func:`meta_model`.
        scene: What the base reads; decides the size of frames.

    Raises:
        InputError: If the settings are wrong, or its model cannot be read.
    """
    if settings.get("type") == "audio" and settings.get("pooling", "mean") == "mean":
        from pave.encoders import sizes

        if settings.get("model") in sizes.SIZES:
            config = from_dict(encoders.get("audio").config_class, settings)
            steps = side_steps(config, seconds)
            parameters, flops = sizes.count_window(config.model, config.window_sec)
            return EncoderCost(Part("encoder", parameters, flops * steps), steps, 1)
    encoder = build(settings)
    if encoder.needs_tower:
        encoder.attach(_MetaTower(model, scene))
    part = Part("encoder", encoder.num_parameters, encoder.flops(seconds))
    return EncoderCost(part, side_steps(encoder.config, seconds), encoder.tokens)


class _MetaTower:
    """The tower of a base without weights, whatever the frames: enough to count what one of them costs."""

    revision = ""

    def __init__(self, model: PaveModel, scene: Scene) -> None:
        self._model = model
        self._inputs, _ = _one_step(model.config, scene)

    @property
    def width(self) -> int:
        return self._model.family.vision_dim

    @property
    def grid(self) -> tuple[int, int] | None:
        return self._model.family.frame_grid

    @torch.no_grad()
    def features(self, frames: Tensor, pooled: bool = True) -> Tensor:
        return self._model.family.frame_features(self._model.base.base_model, self._inputs, pooled)


def side_steps(config: Any, seconds: float) -> int:
    """Return the side steps K that an encoder of these settings makes of so many seconds of media.

    Raises:
        InputError: If its settings state no ``hop_sec``.
    """
    hop_sec = getattr(config, "hop_sec", None)
    if hop_sec is None:
        raise InputError(f"encoder {config.type!r} states no hop_sec; add it to its settings to count side steps")
    return 1 + math.ceil(max(0.0, seconds - getattr(config, "window_sec", hop_sec)) / hop_sec)


def _one_step(config: PretrainedConfig, scene: Scene) -> tuple[dict[str, Any], int]:
    """Return the inputs of a video of one step, and the number of steps that the frames make."""
    vision = config.vision_config
    if getattr(vision, "spatial_merge_size", None) and getattr(vision, "temporal_patch_size", None):
        return _one_step_of_patches(vision, scene), math.ceil(scene.frames / vision.temporal_patch_size)
    if isinstance(getattr(vision, "image_size", None), int):
        pixels = torch.empty(1, 1, 3, vision.image_size, vision.image_size, device="meta")
        return {"pixel_values_videos": pixels}, scene.frames
    raise InputError(f"the cost of base family {config.model_type!r} cannot be counted: its video input is not known")


def _one_step_of_patches(vision: PretrainedConfig, scene: Scene) -> dict[str, Any]:
    unit = vision.patch_size * vision.spatial_merge_size
    rows, columns = (max(1, round(side / unit)) * vision.spatial_merge_size for side in (scene.height, scene.width))
    pixels = 3 * vision.temporal_patch_size * vision.patch_size**2
    return {
        "pixel_values_videos": torch.empty(rows * columns, pixels, device="meta"),
        # The grid is read as numbers, so it is real; positions made of it would be, too, and do not mix with meta.
        "video_grid_thw": torch.tensor([[1, rows, columns]]),
        "position_ids": torch.empty(rows * columns, 2, device="meta"),
    }


@contextmanager
def _flops_by_child(core: nn.Module) -> Iterator[dict[str, int]]:
    """Count the operations of each direct child that is called; what is called outside all of them is ``other``."""
    flops: dict[str, int] = {}
    handles = []
    with FlopCounterMode(display=False) as counter:
        for name, child in core.named_children():
            handles += _count_child(counter, name, child, flops)
        try:
            yield flops
        finally:
            for handle in handles:
                handle.remove()
    outside = counter.get_total_flops() - sum(flops.values())
    if outside:
        flops["other"] = outside


def _count_child(counter: FlopCounterMode, name: str, child: nn.Module, flops: dict[str, int]) -> list[Any]:
    def before(*_: Any) -> None:
        flops[name] = flops.get(name, 0) - counter.get_total_flops()

    def after(*_: Any) -> None:
        flops[name] += counter.get_total_flops()

    return [child.register_forward_pre_hook(before), child.register_forward_hook(after)]


def _prefill_flops(base: PreTrainedModel, language_model: str, sequence: int) -> int:
    """Operations of the language model over the whole sequence, and of its head on the last token."""
    width = base.config.get_text_config().hidden_size
    embeddings = torch.empty(1, sequence, width, device="meta")
    module = base.base_model.get_submodule(language_model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        # A prepared mask: the check of a raw one would need numbers.
        module(inputs_embeds=embeddings, use_cache=False, attention_mask={"full_attention": None})
    return int(counter.get_total_flops()) + 2 * base.get_output_embeddings().weight.numel()


def _parameters_by_child(base: PreTrainedModel, core: nn.Module, language_model: str) -> Mapping[str, int]:
    """Parameters of each child of the inner model; the head counts as the language model's, the rest as ``other``."""
    owner: dict[Tensor, str] = {}
    for name, child in core.named_children():
        for weight in child.parameters():
            owner.setdefault(weight, name)
    for weight in base.get_output_embeddings().parameters():
        owner.setdefault(weight, language_model)
    counts = dict.fromkeys((name for name, _ in core.named_children()), 0)
    for weight in base.parameters():
        name = owner.get(weight, "other")
        counts[name] = counts.get(name, 0) + weight.numel()
    return counts
