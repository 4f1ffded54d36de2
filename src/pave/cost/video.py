"""The video of each family as its vision path takes it: one step of it, of the size that its processor makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from pave.bases import family_of
from pave.cost.scene import Scene
from pave.errors import InputError


@dataclass(frozen=True)
class Step:
    """Inputs of a base's vision path for one step of a video.

    Args:
        inputs: Of ``get_video_features``, or of ``get_image_features`` where a family has no other.
        steps: Steps T that the scene's frames make.
        lead: Tokens before those of a step that are no query places.
        tail: Tokens after the video's last.
        whole: Whether the inputs hold all steps, because the tower attends over the whole video.
    """

    inputs: dict[str, Any]
    steps: int
    lead: int = 0
    tail: int = 0
    whole: bool = False


def one_step(config: PretrainedConfig, scene: Scene) -> Step:
    """Return the inputs of one step of the scene's video.

    Raises:
        InputError: If the base takes its video in a form that is not known here.
    """
    vision = config.vision_config
    if config.model_type in _FORMS:
        return _FORMS[config.model_type](config, scene)
    if getattr(vision, "spatial_merge_size", None) and getattr(vision, "temporal_patch_size", None):
        return _merged_patches(config, scene)
    if isinstance(getattr(vision, "image_size", None), int):
        return Step({"pixel_values_videos": _pixels(1, 1, 3, vision.image_size, vision.image_size)}, scene.frames)
    raise InputError(f"the cost of base family {config.model_type!r} cannot be counted: its video input is not known")


def _pixels(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


def _numbers(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.long)


def _grid(scene: Scene, patch: int, merge: int) -> tuple[int, int]:
    """Rows and columns of patches of a frame, rounded to whole tokens."""
    rows, columns = (max(1, round(side / (patch * merge))) * merge for side in (scene.height, scene.width))
    return rows, columns


def _grid_within(
    scene: Scene, pixels: int, patch: int, merge: int, rounded: Callable[[float], int]
) -> tuple[int, int]:
    """Rows and columns of patches of a frame that is scaled to so many pixels."""
    scale = math.sqrt(pixels / (scene.height * scene.width)) / (patch * merge)
    rows, columns = (max(1, rounded(side * scale)) * merge for side in (scene.height, scene.width))
    return rows, columns


def _merged_patches(config: PretrainedConfig, scene: Scene) -> Step:
    vision = config.vision_config
    rows, columns = _grid(scene, vision.patch_size, vision.spatial_merge_size)
    patches = _pixels(rows * columns, 3 * vision.temporal_patch_size * vision.patch_size**2)
    steps = math.ceil(scene.frames / vision.temporal_patch_size)
    return Step({"pixel_values_videos": patches, "video_grid_thw": torch.tensor([[1, rows, columns]])}, steps)


def _whole_video(config: PretrainedConfig, scene: Scene) -> Step:
    step = _merged_patches(config, scene)
    ((_, rows, columns),) = step.inputs["video_grid_thw"].tolist()
    patches = step.inputs["pixel_values_videos"].repeat(step.steps, 1)
    grid = torch.tensor([[step.steps, rows, columns]])
    return Step({"pixel_values_videos": patches, "video_grid_thw": grid}, step.steps, whole=True)


def _frames_merged_late(config: PretrainedConfig, scene: Scene) -> Step:
    """ERNIE: the tower sees frames, the resampler makes steps of them."""
    vision = config.vision_config
    rows, columns = _grid(scene, vision.patch_size, vision.spatial_merge_size)
    merged = vision.temporal_merge_size
    patches = _pixels(merged * rows * columns, 3 * vision.patch_size**2)
    grid = torch.tensor([[merged, rows, columns]])
    return Step({"pixel_values_videos": patches, "video_grid_thw": grid}, math.ceil(scene.frames / merged))


def _video_llama_3(config: PretrainedConfig, scene: Scene) -> Step:
    patch, merge = config.vision_config.patch_size, 2
    rows, columns = _grid(scene, patch, merge)
    inputs = {
        "pixel_values_videos": _pixels(rows * columns, 3 * patch**2),
        "video_grid_thw": torch.tensor([[1, rows, columns]]),
        "video_merge_sizes": torch.tensor([merge]),
    }
    return Step(inputs, scene.frames)


def _kimi_k25(config: PretrainedConfig, scene: Scene) -> Step:
    """Kimi K2.5 in chunks of one frame: longer ones fail in transformers."""
    vision = config.vision_config
    rows, columns = _grid(scene, vision.patch_size, vision.merge_kernel_size[0])
    patches = _pixels(rows * columns, 3, vision.patch_size, vision.patch_size)
    grid = torch.tensor([[1, rows, columns]])
    return Step({"pixel_values_videos": patches, "video_grid_thw": grid}, scene.frames)


def _gemma4(config: PretrainedConfig, scene: Scene) -> Step:
    vision = config.vision_config
    budget = 70 * (vision.patch_size * vision.pooling_kernel_size) ** 2
    rows, columns = _grid_within(scene, budget, vision.patch_size, vision.pooling_kernel_size, math.floor)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    inputs = {
        "pixel_values_videos": _pixels(1, rows * columns, 3 * vision.patch_size**2),
        "video_position_ids": torch.stack([column, row], dim=-1).view(1, -1, 2),
        "num_frames_per_video": torch.tensor([1]),
    }
    return Step(inputs, scene.frames)


def _molmo2(config: PretrainedConfig, scene: Scene) -> Step:
    vision, pooled = config.vision_config, 3
    side = math.isqrt(vision.num_position_embeddings)
    tokens = math.ceil(side / pooled)
    inputs = {
        "pixel_values_videos": _pixels(1, side * side, 3 * vision.patch_size**2),
        "video_token_pooling": _numbers(tokens * tokens, pooled * pooled),
        "video_grids": torch.tensor([[1, tokens, tokens]]),
    }
    return Step(inputs, scene.frames)


def _minicpmv4_6(config: PretrainedConfig, scene: Scene) -> Step:
    """MiniCPM-V 4.6 with a frame in one slice."""
    patch, merge = config.vision_config.patch_size, 4
    rows, columns = _grid_within(scene, config.image_size**2, patch, merge, round)
    pixels = _pixels(1, 3, patch, patch * rows * columns)
    return Step({"pixel_values_videos": pixels, "target_sizes_videos": torch.tensor([[rows, columns]])}, scene.frames)


def _instructblipvideo(config: PretrainedConfig, scene: Scene) -> Step:
    side = config.vision_config.image_size
    inputs = {
        "pixel_values": _pixels(1, 1, 3, side, side),
        "qformer_input_ids": _numbers(1, scene.prompt_tokens),
        "qformer_attention_mask": _numbers(1, scene.prompt_tokens) + 1,
    }
    return Step(inputs, scene.frames)


def _nemotron_h_omni(config: PretrainedConfig, scene: Scene) -> Step:
    # Of the family, which refuses releases of transformers that fail at videos.
    merged = family_of(config).frames_per_step
    vision, merge = config.vision_config, round(1 / config.downsample_ratio)
    rows, columns = _grid_within(scene, 1024 * vision.patch_size**2, vision.patch_size, merge, math.floor)
    pixels = _pixels(1, 1, 3 * merged, rows * vision.patch_size, columns * vision.patch_size)
    return Step({"pixel_values_videos": pixels}, math.ceil(scene.frames / merged))


def _internvl(config: PretrainedConfig, scene: Scene) -> Step:
    return Step({"pixel_values": _pixels(1, 3, *config.vision_config.image_size)}, scene.frames)


def _smolvlm(config: PretrainedConfig, scene: Scene) -> Step:
    side = config.vision_config.image_size
    # Real pixels, since frames of zeros alone count as padding.
    return Step({"pixel_values": torch.ones(1, 1, 3, side, side)}, scene.frames)


def _perception_lm(config: PretrainedConfig, scene: Scene) -> Step:
    vision = config.vision_config
    height, width = vision.model_args.get("img_size") or (vision.image_size, vision.image_size)
    return Step({"pixel_values": _pixels(1, 1, 3, height, width)}, scene.frames)


def _llava_onevision(config: PretrainedConfig, scene: Scene) -> Step:
    side = config.vision_config.image_size
    return Step({"pixel_values_videos": _pixels(1, 1, 3, side, side)}, scene.frames, tail=1)


def _video_llava(config: PretrainedConfig, scene: Scene) -> Step:
    side = config.vision_config.image_size
    return Step({"pixel_values_videos": _pixels(1, 1, 3, side, side)}, scene.frames, lead=1)


_FORMS: dict[str, Callable[[PretrainedConfig, Scene], Step]] = {
    "ernie4_5_vl_moe": _frames_merged_late,
    "gemma4": _gemma4,
    "instructblipvideo": _instructblipvideo,
    "internvl": _internvl,
    "kimi_k25": _kimi_k25,
    "llava_onevision": _llava_onevision,
    "minicpmv4_6": _minicpmv4_6,
    "minimax_m3_vl": _whole_video,
    "molmo2": _molmo2,
    "nemotron_h_omni": _nemotron_h_omni,
    "perception_lm": _perception_lm,
    "smolvlm": _smolvlm,
    "video_llama_3": _video_llama_3,
    "video_llava": _video_llava,
}
"""What is not a square of pixels a frame, nor merged patches with two frames or one a step."""
