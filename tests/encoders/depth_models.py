"""Tiny random models of every family that the depth encoder takes, saved as folders with their image processors."""

from __future__ import annotations

from pathlib import Path

import transformers

from tests.encoders.models import save_random

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIDE = 32


def _depth_anything(kind: str):
    backbone = transformers.Dinov2Config(
        **SMALL | {"num_hidden_layers": 4},
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=20,
    )
    processor = transformers.DPTImageProcessor(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14, resample=3
    )
    return transformers.DepthAnythingForDepthEstimation(config), processor


def _depth_pro():
    small = SMALL | {"patch_size": 4, "image_size": 16, "model_type": "dinov2"}
    config = transformers.DepthProConfig(
        patch_size=16,
        fusion_hidden_size=8,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        use_fov_model=True,
        num_fov_head_layers=0,
        image_model_config=dict(small),
        patch_model_config=dict(small),
        fov_model_config=dict(small),
    )
    processor = transformers.DepthProImageProcessor(size={"height": 64, "width": 64})
    return transformers.DepthProForDepthEstimation(config), processor


def _zoedepth():
    backbone = transformers.Dinov2Config(
        **SMALL | {"num_hidden_layers": 4},
        image_size=SIDE,
        patch_size=16,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        apply_layernorm=False,
        reshape_hidden_states=False,
    )
    config = transformers.ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_attractors=[4, 2, 2, 1],
        bin_embedding_dim=8,
        num_relative_features=4,
    )
    processor = transformers.ZoeDepthImageProcessor(size={"height": 64, "width": 64}, ensure_multiple_of=32)
    return transformers.ZoeDepthForDepthEstimation(config), processor


def _clip():
    config = transformers.CLIPVisionConfig(**SMALL, image_size=SIDE, patch_size=8)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return transformers.CLIPVisionModel(config), transformers.CLIPImageProcessor(**size)


def _whole_clip():
    config = transformers.CLIPConfig(
        text_config=SMALL | {"vocab_size": 40, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0},
        vision_config=SMALL | {"image_size": SIDE, "patch_size": 8},
        projection_dim=8,
    )
    return transformers.CLIPModel(config), _clip()[1]


def _siglip():
    config = transformers.SiglipVisionConfig(**SMALL, image_size=SIDE, patch_size=8)
    return transformers.SiglipVisionModel(config), transformers.SiglipImageProcessor(
        size={"height": SIDE, "width": SIDE}
    )


def _dinov2():
    config = transformers.Dinov2Config(**SMALL, image_size=64, patch_size=8)
    size = {"size": {"shortest_edge": 40}, "crop_size": {"height": SIDE, "width": SIDE}}
    return transformers.Dinov2Model(config), transformers.BitImageProcessor(**size)


def _dinov2_registers():
    config = transformers.Dinov2WithRegistersConfig(**SMALL, image_size=SIDE, patch_size=8, num_register_tokens=4)
    return transformers.Dinov2WithRegistersModel(config), _dinov2()[1]


def _vit():
    config = transformers.ViTConfig(**SMALL, image_size=SIDE, patch_size=8)
    return transformers.ViTModel(config), transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})


def _convnext():
    config = transformers.ConvNextConfig(hidden_sizes=[4, 8, 8, 16], depths=[1, 1, 1, 1], patch_size=4)
    return transformers.ConvNextModel(config), transformers.ConvNextImageProcessor(size={"shortest_edge": 128})


DEPTH_BUILDERS = {
    "depth_anything": lambda: _depth_anything("metric"),
    "depth_pro": _depth_pro,
    "zoedepth": _zoedepth,
}

VISION_BUILDERS = {
    "clip": _clip,
    "convnext": _convnext,
    "dinov2": _dinov2,
    "dinov2_registers": _dinov2_registers,
    "siglip": _siglip,
    "vit": _vit,
    "whole_clip": _whole_clip,
}

BUILDERS = DEPTH_BUILDERS | VISION_BUILDERS | {"relative": lambda: _depth_anything("relative")}


def save_tiny_model(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of a family and its image processor as a folder."""
    return save_random(BUILDERS[name], folder, seed)
