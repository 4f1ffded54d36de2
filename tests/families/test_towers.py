"""The tower of every family that has one gives features of frames, each by itself, from the family's own processor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases import family_of
from pave.bases.family import Family
from pave.encoders.tower import Tower
from pave.errors import InputError
from tests.families.tiny import NAMES, make_base

SIDE = {"height": 56, "width": 56}
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 56 * 112}
SQUARE = {"size": SIDE, "crop_size": SIDE, "do_center_crop": False}
PATCHES = {"size": PIXELS, "patch_size": 14}

PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "cosmos3_omni": ("Qwen3VLVideoProcessor", PATCHES),
    "ernie4_5_vl_moe": ("Ernie4_5_VLMoeVideoProcessor", PATCHES),
    "exaone4_5": ("Qwen2VLVideoProcessor", PATCHES),
    "gemma4": ("Gemma4VideoProcessor", {"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70}),
    "glm46v": ("Glm46VVideoProcessor", PATCHES),
    "glm4v": ("Glm4vVideoProcessor", PATCHES),
    "glm4v_moe": ("Glm4vVideoProcessor", PATCHES),
    "internvl": ("InternVLVideoProcessor", SQUARE),
    "kimi_k25": ("Kimi_K25VideoProcessor", {"size": {"max_height": 112, "max_width": 112}}),
    "lfm3_vl": ("Qwen3VLVideoProcessor", PATCHES),
    "llava_next_video": ("LlavaNextVideoVideoProcessor", SQUARE),
    "llava_onevision": ("LlavaOnevisionVideoProcessor", SQUARE),
    "minicpmv4_6": ("MiniCPMV4_6VideoProcessor", {}),
    "minimax_m3_vl": ("MiniMaxM3VLVideoProcessor", PATCHES),
    "molmo2": ("Molmo2VideoProcessor", {"size": SIDE, "patch_size": 14}),
    "nemotron_h_omni": (
        "NemotronH_Omni_Reasoning_V3VideoProcessor",
        {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3, "patch_size": 14, "video_target_num_patches": 16},
    ),
    "perception_lm": ("PerceptionLMVideoProcessor", SQUARE),
    "qwen2_5_omni": ("Qwen2VLVideoProcessor", PATCHES),
    "qwen2_5_vl": ("Qwen2VLVideoProcessor", PATCHES),
    "qwen2_vl": ("Qwen2VLVideoProcessor", PATCHES),
    "qwen3_5": ("Qwen3VLVideoProcessor", PATCHES),
    "qwen3_5_moe": ("Qwen3VLVideoProcessor", PATCHES),
    "qwen3_omni_moe": ("Qwen2VLVideoProcessor", PATCHES),
    "qwen3_vl": ("Qwen3VLVideoProcessor", PATCHES),
    "qwen3_vl_moe": ("Qwen3VLVideoProcessor", PATCHES),
    "smolvlm": ("SmolVLMVideoProcessor", {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 56}}),
    "video_llama_3": ("VideoLlama3VideoProcessor", PATCHES),
    "video_llava": ("VideoLlavaVideoProcessor", SQUARE),
}
"""Each family's video processor, scaled down to its tiny base."""

MERGE_INSIDE = ("gemma4", "glm46v", "glm4v", "glm4v_moe", "video_llama_3")
WITHOUT = ("instructblipvideo",)


def tower_of(name: str) -> tuple[Family, Tower]:
    base = make_base(name)
    family = family_of(base.config)
    made, settings = PROCESSORS[name]
    processor: BaseVideoProcessor = getattr(transformers, made)(**settings)
    return family, family.tower(base, processor)


def test_every_family_is_here() -> None:
    assert {*PROCESSORS, *WITHOUT} == set(NAMES)


@pytest.mark.parametrize("name", PROCESSORS)
def test_features_of_frames(name: str) -> None:
    frames = torch.randint(0, 256, (3, 3, 56, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    family, tower = tower_of(name)
    pooled = tower.features(frames)
    assert (len(pooled), pooled.shape[-1]) == (3, family.vision_dim)
    assert tower.grid in (None, tuple(pooled.shape[1:3]))
    alone = torch.cat([tower.features(frame) for frame in frames.split(1)])
    torch.testing.assert_close(pooled, alone, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-3)
    finest, (rows, columns) = tower.features(frames, pooled=False), pooled.shape[1:3]
    if name in MERGE_INSIDE:
        assert finest.shape == pooled.shape
    means = finest.unflatten(1, (rows, -1)).unflatten(3, (columns, -1)).mean(dim=(2, 4))
    torch.testing.assert_close(pooled, means, atol=1e-3, rtol=1e-4)


def test_learned_queries_are_no_features_of_a_frame() -> None:
    family = family_of(make_base("instructblipvideo").config)
    with pytest.raises(InputError, match="gives no features of a frame that are known"):
        family.tower(None, None)  # type: ignore[arg-type]
