"""Operations counted without weights are those of a real forward pass, in every family; alike layers run once."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CONFIG_MAPPING, AutoModel, PretrainedConfig
from transformers.models.gemma4.video_processing_gemma4 import get_aspect_ratio_preserving_size

from pave.bases.sizes import configuration_of
from pave.cost import Scene, count_base, meta_base
from pave.cost.weightless import metered

FOLDER = Path(__file__).parents[2] / "shared" / "bases"
SPECS = sorted((FOLDER / "configs").glob("*.json"))
# Their scenes cannot be matched: their processors scale frames to a budget that the tiny cases do not keep to, and the
# last one's video path fails in transformers.
OTHER_SCENES = {"gemma4", "instructblipvideo", "minicpmv4_6", "molmo2", "nemotron_h_omni"}


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """The checker that comes with the tiny configurations."""
    if not SPECS:
        pytest.skip("the tiny configurations of all families are not there")
    found = importlib.util.spec_from_file_location("check", FOLDER / "check.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["check"] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_flops_are_those_of_a_real_forward_pass(check: ModuleType, path: Path) -> None:
    spec = json.loads(path.read_text())
    if path.stem in OTHER_SCENES:
        pytest.skip("its scene cannot be matched")
    model = check.make_model(spec)
    # The counter does not know the fused forms of attention and of experts.
    model.set_attn_implementation("eager")
    model.set_experts_implementation("eager")
    case = spec["cases"]["one"]
    inputs = check.make_inputs(case)
    with FlopCounterMode(display=False, depth=9) as counter, torch.no_grad():
        model(**inputs)
    head = sum(sum(flops.values()) for name, flops in counter.flop_counts.items() if name.endswith(".lm_head"))
    video = case["videos"][0]
    tokens = video["T"] * (video.get("lead", 0) + video["S"]) + video.get("tail", 0)
    prompt = inputs["input_ids"].shape[1] - tokens
    cost = count_base(meta_base(model.config), scene(model.config, inputs, video["T"], prompt))
    assert (cost.steps, cost.tokens) == (video["T"], video["S"])
    # The real head answers for all tokens, the counted one for the last.
    assert cost.total.flops - 2 * model.get_output_embeddings().weight.numel() == counter.get_total_flops() - head


def scene(config: PretrainedConfig, inputs: dict[str, Any], steps: int, prompt: int) -> Scene:
    vision = config.vision_config
    merged = getattr(vision, "temporal_patch_size", None) or getattr(vision, "temporal_merge_size", None) or 1
    if "video_grid_thw" not in inputs:
        return Scene(steps, prompt)
    rows, columns = inputs["video_grid_thw"][0, 1:].tolist()
    return Scene(steps * merged, prompt, rows * vision.patch_size, columns * vision.patch_size)


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3_moe", "qwen3_5_text"])
def test_alike_layers_cost_what_all_of_them_do(model_type: str) -> None:
    """Twice as many layers cost twice as much, and keep twice as much, whether or not each of them runs."""
    counts = []
    for layers in (4, 8):
        config = CONFIG_MAPPING[model_type](num_hidden_layers=layers, hidden_size=64, vocab_size=32)
        with torch.device("meta"):
            model = AutoModel.from_config(config)
        with metered(model) as meter:
            ids = torch.zeros(1, 100, dtype=torch.long)
            model(input_ids=ids, use_cache=True)
        counts.append((meter.flops, meter.cached))
    assert counts[1] == (2 * counts[0][0], 2 * counts[0][1]) and min(counts[0]) > 0


def test_the_cache_holds_keys_and_values_of_every_layer() -> None:
    config = configuration_of("qwen2.5-vl-3b")
    cost = count_base(meta_base(config), Scene(4, 10))
    # Keys and values, two heads of 128, 36 layers, two bytes.
    assert cost.cache == cost.sequence * 2 * 2 * 128 * 36 * 2


def test_models_are_left_as_they_were() -> None:
    base = meta_base(configuration_of("smolvlm2-256m"))
    first, second = count_base(base, Scene(2)), count_base(base, Scene(2))
    assert first == second
    assert not [module for module in base.modules() if "forward" in vars(module)]


@pytest.mark.parametrize(
    ("name", "steps", "tokens"),
    [
        # 360 x 640 pixels in 70 squares of 48 pixels: 6 x 11.
        ("gemma-4-e2b", 8, 66),
        # Queries that are learned, and 27 x 27 patches pooled 3 x 3.
        ("instructblip-video-vicuna-7b", 8, 32),
        ("molmo2-4b", 8, 81),
        # One slice of 448 x 448 pixels in squares of 56: 6 x 11.
        ("minicpm-v-4.6", 8, 66),
        # Two frames a step, each in 1,024 patches of 16 pixels, merged 2 x 2: 12 x 21.
        ("nemotron-3-nano-omni-30b-a3b", 4, 252),
    ],
)
def test_frames_that_are_scaled_to_a_budget(name: str, steps: int, tokens: int) -> None:
    cost = count_base(meta_base(configuration_of(name)), Scene(8, 16))
    assert (cost.steps, cost.tokens, cost.sequence) == (steps, tokens, steps * tokens + 16)
    assert cost.total.flops > 2 * (cost.active - 2e9) * cost.sequence * 0.5
    assert cost.cache > 0


def test_gemmas_frames_are_of_the_size_that_its_processor_makes() -> None:
    size = get_aspect_ratio_preserving_size(360, 640, 16, 70 * 9, 3)
    cost = count_base(meta_base(configuration_of("gemma-4-e2b")), Scene(1, 1))
    assert cost.tokens == (size[0] // 48) * (size[1] // 48)
