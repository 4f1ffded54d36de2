"""Outputs and gradients of the reference implementation, from stored files and from its published check values."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_weights import GOLDEN, our_name, our_state, read_config
from safetensors.torch import load_file
from torch import Tensor

from pave.config import PatchConfig
from pave.patches import build
from pave.patches.patch import Patch
from pave.types import SideChannel

FOLDERS = [
    "audio_2l_0p5b",
    "audio_2l_7b",
    "audio_3l_7b",
    "lb_2l_0p5b",
    "lb_2l_7b",
    "lb_3l_7b",
    "lb_rope_2l_0p5b",
]

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")


def golden_cases() -> list[Any]:
    """Return (folder, case) pairs; none where the files are absent, which skips the test."""
    return [
        pytest.param(folder, path, id=f"{folder}-{path.stem}")
        for folder in FOLDERS
        for path in sorted((GOLDEN / "patch" / folder).glob("case_*.safetensors"))
    ]


def load_patch(config: PatchConfig, weights: dict[str, Tensor]) -> Patch:
    patch = build(config)
    patch.load_state_dict(our_state(weights))
    return patch


def run(patch: Patch, features: Tensor, frames: list[int], queries: Tensor) -> Tensor:
    """Return the residuals (B, T S, C) for side features (B, T, H, W, C), of which the first ``frames`` are real."""
    sides = []
    for video, count in zip(features, frames, strict=True):
        values = video[:count].flatten(1, 2)
        sides.append(SideChannel(values, torch.arange(count), grid=tuple(video.shape[1:3])))
    times = [torch.arange(video.shape[0]) for video in queries]
    return torch.stack(patch(list(queries), sides, times)).flatten(1, 2)


@pytest.mark.parametrize(("folder", "path"), golden_cases())
def test_stored_outputs_and_gradients(folder: str, path: Path) -> None:
    config, _ = read_config(path.parent)
    patch = load_patch(config, load_file(path.parent / "weights.safetensors"))
    case = load_file(path)
    queries = case["slow_feats"].requires_grad_()
    out = run(patch, case["x"], case["frame_num"].tolist(), queries)
    # Outputs reach 8, and those stored differ from the formula in float64 by 1e-5 themselves.
    torch.testing.assert_close(out, case["out"], atol=1e-5, rtol=1e-5)
    if "cotangent" not in case:
        return
    (out * case["cotangent"]).sum().backward()
    found = {name: parameter.grad for name, parameter in patch.named_parameters()} | {"slow_feats": queries.grad}
    wanted = {name.removeprefix("grad."): value for name, value in case.items() if name.startswith("grad.")}
    assert len(wanted) > 20
    for name, gradient in wanted.items():
        ours = found[our_name(name)]
        assert ours is not None
        assert (ours - gradient).norm() <= 1e-4 * gradient.norm(), name


@pytest.mark.slow
def test_full_size_outputs() -> None:
    folder = GOLDEN / "patch" / "full_lb_2l_0p5b"
    spec = importlib.util.spec_from_file_location("golden_io", GOLDEN / "golden_io.py")
    assert spec is not None and spec.loader is not None
    recipes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipes)
    config, data = read_config(folder)
    recipe = data["recipe"]
    weights = recipes.recipe_weights(recipe["seed"], recipe["specs"])
    patch = load_patch(config, {name: torch.from_numpy(array) for name, array in weights.items()})
    inputs = {}
    for name, shape in (("x", recipe["x_shape"]), ("slow_feats", recipe["slow_shape"])):
        array = recipes.recipe_tensor(recipe["seed"], name, shape, 0, 1.7320508)
        assert recipes.sha256(array) == recipe["sha256"][name]
        inputs[name] = torch.from_numpy(array)
    stored = load_file(folder / "case_full.safetensors")
    with torch.no_grad():
        out = run(patch, inputs["x"], recipe["frame_num"], inputs["slow_feats"])
    torch.testing.assert_close(out[0, stored["rows"]], stored["out_rows"], atol=2e-5, rtol=1e-5)


class CheckValues:
    """The reference's published check values: weights and inputs by a quadratic rule, results to six digits."""

    @staticmethod
    def numbers(shape: tuple[int, ...], tag: int) -> np.ndarray:
        i = np.arange(int(np.prod(shape)), dtype=np.int64)
        return (((31 * i**2 + 7919 * i + 104729 * tag + 12345) % 2003) / 1001.5 - 1).reshape(shape)

    @classmethod
    def weights(cls, patch: Patch) -> dict[str, Tensor]:
        """Fill every parameter by its place among the reference's names, the unused value projections included."""
        shapes = {name: tuple(parameter.shape) for name, parameter in patch.named_parameters()}
        layers = len({name.split(".")[1] for name in shapes if name.startswith("layers.")})
        tails = ["attn.k_linear", "attn.q_linear", "attn.v_linear", "ffn.0"]
        theirs = [
            f"cross_attn_layers.{i}.{tail}.{kind}"
            for i in range(layers)
            for tail in tails
            for kind in ("bias", "weight")
        ]
        theirs += [f"cross_attn_layers.{i}.{tail}.weight" for i in range(layers) for tail in ("ffn.1", "ffn.3")]
        rest = ["input_mapping", "output_mapping.0", "output_mapping.2", "output_norm", "query_input_mapping"]
        theirs += [f"{name}.{kind}" for name in rest for kind in ("bias", "weight")]
        state = {}
        for tag, name in enumerate(sorted(theirs)):
            if ".v_linear." in name:
                continue
            values = cls.numbers(shapes[our_name(name)], tag)
            if values.ndim == 2:
                gain = 1.5 if "q_linear" in name or "k_linear" in name else 1.0
                values = values * gain * np.sqrt(3 / values.shape[1])
            elif name.endswith(("ffn.0.weight", "output_norm.weight")):
                values = 1 + 0.2 * values
            else:
                values = 0.1 * values
            state[our_name(name)] = torch.from_numpy(values.astype(np.float32))
        return state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side_dim", "positions", "steps", "tokens", "mean", "first", "middle", "last"),
    [
        (1024, "none", 59, 1, 0.818900, [-0.778704, 0.407097], [-0.462100, 0.902193], [-0.206520, -1.211749]),
        (1024, "none", 28, 1, 0.818754, [0.486886, 0.937797], [-0.471812, 0.901447], [0.335846, 0.162899]),
        (1024, "none", 1, 1, 0.817651, [0.486886, 0.937797], [0.304570, 1.365916], [-0.876555, -0.010890]),
        (1024, "none", 70, 4, 0.815887, [-0.981336, -0.508352], [0.533357, 0.033781], [-0.919997, -0.079718]),
        (768, "none", 70, 1, 0.819059, [0.644754, -0.360667], [-0.363235, 0.269876], [-0.695848, -0.021995]),
        (1024, "rotary_3d", 70, 4, 0.815947, [-1.019882, -0.349864], [0.349817, 0.198999], [-0.916787, 0.218115]),
        (1024, "rotary_3d", 32, 576, 0.812528, [0.002096, 0.698141], [0.115055, 0.658245], [-0.642528, -0.037673]),
    ],
)
def test_published_check_values(
    side_dim: int,
    positions: Any,
    steps: int,
    tokens: int,
    mean: float,
    first: list[float],
    middle: list[float],
    last: list[float],
) -> None:
    config = PatchConfig(
        channel="audio",
        side_dim=side_dim,
        query_dim=1152,
        token_dim=896,
        value_projection="tied",
        positions=positions,
        alignment="index",
    )
    patch = build(config)
    patch.load_state_dict(CheckValues.weights(patch))
    side = SideChannel(
        torch.from_numpy(CheckValues.numbers((steps, tokens, side_dim), 900).astype(np.float32)), torch.arange(steps)
    )
    queries = torch.from_numpy(CheckValues.numbers((32, 196, 1152), 901).astype(np.float32))
    with torch.no_grad():
        out = patch([queries], [side], [torch.arange(32)])[0].flatten(0, 1)
    assert out.abs().mean().item() == pytest.approx(mean, abs=2e-6)
    assert out[0, :2].tolist() == pytest.approx(first, abs=2e-5)
    assert out[3000, :2].tolist() == pytest.approx(middle, abs=2e-5)
    assert out[6271, -2:].tolist() == pytest.approx(last, abs=2e-5)
