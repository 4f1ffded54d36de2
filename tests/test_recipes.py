"""The recipes of the paper's tasks: each reads strictly, says what the paper did, and runs on a tiny base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pave.bases.sizes import configuration_of, sizes
from pave.cli.arguments import parse
from pave.config import from_dict
from pave.cost import Scene, count_base, count_patch, meta_model, side_shape
from pave.encoders import registry as encoders
from pave.errors import InputError
from pave.training.config import TrainConfig
from pave.training.dry_run import dry_run, rehearse
from pave.training.dry_run_base import tiny_config

RECIPES = Path(__file__).parents[1] / "configs" / "recipes"
NAMES = ("avqa", "avsd", "ego-exo4d", "llava-video", "music-avqa", "scanqa", "sqa3d")
BASES = ("llava-onevision-0.5b", "llava-onevision-7b", "qwen2.5-vl-7b", "qwen3-vl-8b")
TOWER_WIDTH = {"qwen2.5-vl-7b": 1280}
"""Width of a base's tower where it is not that of the recipes."""

MANY_SIDE_TOKENS = ("scanqa", "sqa3d")
SLOW_BF16 = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2")
"""Without instructions for it, bf16 is so slow that 18,432 side tokens a sample take minutes."""

PAIRS = [
    pytest.param(name, base, marks=() if number % len(BASES) == place else pytest.mark.slow)
    for number, name in enumerate(NAMES)
    for place, base in enumerate(BASES)
]
"""Each recipe on one base, and each base under one recipe; all the rest with ``-m slow``."""


def recipe(name: str, base: str, *arguments: str) -> TrainConfig:
    overrides = [f"--base={sizes()[base].hub_ids[0]}", *arguments]
    if name == "ego-exo4d" and base in TOWER_WIDTH:
        overrides.append(f"--patch.side_dim={TOWER_WIDTH[base]}")
    config = parse(TrainConfig, "pave train", [str(RECIPES / f"{name}.yaml"), *overrides])
    assert isinstance(config, TrainConfig)
    return config


def test_every_recipe_is_tested() -> None:
    assert tuple(sorted(path.stem for path in RECIPES.iterdir())) == NAMES


@pytest.mark.parametrize(("name", "base"), PAIRS)
def test_two_steps_on_a_tiny_base(name: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    precision = "fp32" if SLOW_BF16 and name in MANY_SIDE_TOKENS else "bf16"
    found = rehearse(recipe(name, base, f"--precision={precision}"), tiny=True)
    assert found.rehearsed.model_type == configuration_of(sizes()[base].hub_ids[0]).model_type
    assert len(found.losses) == 2 and all(loss > 0 for loss in found.losses)
    assert found.counted.total == pytest.approx(found.measured, rel=0.15)
    assert found.run.lora == recipe(name, base).lora and found.run.precision == precision
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--patch=null", "--preprocessing.encoder=null"), id="LoRA alone"),
        pytest.param(("--patch.type=append",), id="appended tokens"),
        pytest.param(
            ("--patch.value_projection=tied", "--patch.alignment=index", "--patch.layout=grid"), id="reference"
        ),
    ],
)
def test_other_methods_of_the_study_take_their_steps(arguments: tuple[str, ...]) -> None:
    found = rehearse(recipe("avsd", "llava-onevision-7b", *arguments), tiny=True)
    assert len(found.losses) == 2 and all(loss > 0 for loss in found.losses)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_has_the_samples_of_the_paper(name: str) -> None:
    config = recipe(name, "llava-onevision-7b")
    samples = {"sqa3d": 32, "ego-exo4d": 32}
    assert config.batch_size * config.gradient_accumulation == samples.get(name, 16)
    assert config.epochs == (1 if name in ("avsd", "llava-video") else 2)
    assert (config.patch_lr, config.lora_lr, config.max_grad_norm, config.warmup) == (2e-5, 2e-5, 0.1, 0.03)
    assert config.precision == "bf16"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("avsd", 8_996_352), ("scanqa", 8_996_352), ("music-avqa", 10_833_920), ("ego-exo4d", 9_061_888)],
)
def test_the_patch_has_the_sizes_of_the_paper(name: str, parameters: int) -> None:
    config = recipe(name, "llava-onevision-7b")
    model = meta_model(configuration_of("llava-onevision-7b"))
    base = count_base(model, Scene(config.preprocessing.frames))
    patch, lora = count_patch(model, base, config.patch, config.lora, 59, 1, 60.0)
    assert (patch.parameters, lora.parameters) == (parameters, 161_480_704)


@pytest.mark.parametrize(
    ("name", "shape"), [("avqa", (59, 1)), ("scanqa", (32, 576)), ("llava-video", (120, 4)), ("ego-exo4d", (48, 196))]
)
def test_the_side_channel_of_a_minute(name: str, shape: tuple[int, int]) -> None:
    settings = recipe(name, "llava-onevision-7b").preprocessing.encoder
    assert settings is not None
    config = from_dict(encoders.get(settings["type"]).config_class, settings)
    assert side_shape(config, 60.0, (14, 14), cameras=4) == shape


def test_a_tower_of_another_width_is_told() -> None:
    arguments = [str(RECIPES / "ego-exo4d.yaml"), "--base=Qwen/Qwen2.5-VL-7B-Instruct"]
    config = parse(TrainConfig, "pave train", arguments)
    with pytest.raises(InputError, match="side_dim is 1152, but the tower of .* width 1280; write side_dim: 1280"):
        rehearse(config, tiny=True)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_what_a_run_takes_in_its_real_size(base: str) -> None:
    found = dry_run(recipe("avsd", base), tiny=True, flops_per_sec=2e14)
    weights = sum(found.cost.weights.values())
    assert weights > 2 * sizes()[base].published * 0.95
    assert weights < found.memory < found.kept.total
    assert found.seconds_a_step > 0
    assert tiny_config(configuration_of(base).model_type).model_type == found.rehearsal.rehearsed.model_type
