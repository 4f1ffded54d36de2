"""Reference weights become a patch that gives the reference's outputs and gradients; anything odd is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pave import InputError, SideChannel
from pave.convert.reference import patch_from_state
from pave.convert.state import our_name
from pave.patches.patch import Patch
from tests.convert.checkpoints import MEMORY, PREFIX, QUERY, SECOND_PREFIX, SIDE, State, patch_state, prefixed

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden" / "patch"
CONV = GOLDEN / "conv_unused_by_any_config"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")


def cases() -> list[Any]:
    """Return every stored case of every configuration that the reference has."""
    paths = sorted(GOLDEN.glob("*/case_*.safetensors"))
    chosen = [path for path in paths if path.parent != CONV and (path.parent / "weights.safetensors").is_file()]
    return [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in chosen]


def choices_of(folder: Path) -> dict[str, Any]:
    """Return what the weights of a stored configuration do not tell."""
    config = json.loads((folder / "config.json").read_text())["config"]
    return {
        "heads": config["num_cross_attn_head"],
        "positions": "rotary_3d" if config["use_3d_rope"] else "none",
    }


def run(patch: Patch, features: Tensor, frames: list[int], queries: Tensor) -> Tensor:
    """Return residuals (B, T S, C) for side features (B,T,H,W,C), of which the first ``frames`` are no padding."""
    sides = [
        SideChannel(video[:count].flatten(1, 2), torch.arange(count), grid=(video.shape[1], video.shape[2]))
        for video, count in zip(features, frames, strict=True)
    ]
    times = [torch.arange(video.shape[0]) for video in queries]
    return torch.stack(patch(list(queries), sides, times)).flatten(1, 2)


@needs_golden
@pytest.mark.parametrize("path", cases())
def test_stored_outputs_and_gradients(path: Path) -> None:
    patch = patch_from_state(load_file(path.parent / "weights.safetensors"), **choices_of(path.parent))
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
        ours = found[name if name == "slow_feats" else our_name(name)]
        assert ours is not None
        assert (ours - gradient).norm() <= 1e-4 * gradient.norm(), name


@needs_golden
def test_convolutions_of_no_configuration_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'input_mapping\.\d.*convolutional.*no configuration of the reference uses"):
        patch_from_state(load_file(CONV / "weights.safetensors"))


def reference_length(side_steps: int, steps: int) -> int:
    """Length to which the reference stretches a side channel: a rounded factor, cut off."""
    return int(side_steps * (steps / side_steps))


def stretched(values: Tensor, length: int) -> SideChannel:
    """Return a side channel interpolated to ``length`` steps, both ends in place."""
    position = torch.arange(length) * (len(values) - 1) / (length - 1)
    lower = position.floor().long().clamp(max=len(values) - 2)
    share = (position - lower).view(-1, 1, 1)
    return SideChannel(values[lower] * (1 - share) + values[lower + 1] * share, torch.arange(length))


@pytest.mark.parametrize(("side_steps", "steps"), [(49, 64), (11, 15), (13, 15), (11, 30), (26, 30)])
def test_stretched_to_full_length_where_the_reference_is_one_short(side_steps: int, steps: int) -> None:
    """The reference's last video step then reads nothing, and the others read too far ahead."""
    short = reference_length(side_steps, steps)
    assert short == steps - 1
    patch = patch_from_state(patch_state())
    values = torch.randn(side_steps, 1, SIDE, generator=torch.Generator().manual_seed(3))
    queries = torch.randn(steps, 4, QUERY, generator=torch.Generator().manual_seed(4))
    out = patch([queries], [SideChannel(values, torch.arange(side_steps))], [torch.arange(steps)])[0]
    by_hand = patch([queries], [stretched(values, steps)], [torch.arange(steps)])[0]
    torch.testing.assert_close(out, by_hand)
    theirs = patch([queries[:short]], [stretched(values, short)], [torch.arange(short)])[0]
    assert (theirs[1:] - out[1:short]).abs().amax(dim=(1, 2)).min() > 1e-3


def output(patch: Patch) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    side = SideChannel(torch.randn(7, 4, SIDE, generator=generator), torch.arange(7))
    return patch([torch.randn(3, 4, QUERY, generator=generator)], [side], [torch.arange(3)])[0]


@pytest.mark.parametrize("prefix", ["base_model.model.model.", "model.model.", "model.", ""])
@pytest.mark.parametrize("module", ["temporal_aggregator.", ""])
def test_every_prefix(prefix: str, module: str) -> None:
    wanted = output(patch_from_state(patch_state()))
    assert torch.equal(output(patch_from_state(prefixed(patch_state(), prefix + module))), wanted)


def test_what_comes_out() -> None:
    patch = patch_from_state(patch_state(layers=3), heads=2, positions="rotary_3d")
    config = patch.config
    assert (config.layers, config.heads, config.positions, config.memory_dim) == (3, 2, "rotary_3d", MEMORY)
    assert (config.value_projection, config.alignment, config.layout, config.query) == (
        "tied",
        "index",
        "grid",
        "vision",
    )


def test_value_projections_are_never_read() -> None:
    state = patch_state()
    wanted = output(patch_from_state(state))
    for name in state:
        if ".v_linear." in name:
            state[name] = torch.full_like(state[name], torch.nan)
    assert torch.equal(output(patch_from_state(state)), wanted)


def test_half_width_weights_run_in_full_width() -> None:
    narrow = patch_state(dtype=torch.bfloat16)
    wide = {name: value.float() for name, value in narrow.items()}
    assert torch.equal(output(patch_from_state(narrow)), output(patch_from_state(wide)))


NAMES = list(patch_state())


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_tensor_is_named(name: str) -> None:
    state = prefixed(patch_state(), PREFIX)
    del state[PREFIX + name]
    with pytest.raises(InputError, match=f"tensor '{PREFIX}{name}' is missing".replace(".", r"\.")):
        patch_from_state(state)


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_tensor_is_named(name: str) -> None:
    state = patch_state()
    state[name + "x"] = state.pop(name)
    with pytest.raises(InputError, match=f"tensor '{name}' is missing; '{name}x' is there".replace(".", r"\.")):
        patch_from_state(state)


@pytest.mark.parametrize("name", NAMES)
def test_a_reshaped_tensor_is_named(name: str) -> None:
    state = patch_state()
    state[name] = state[name].flatten()[:-1]
    with pytest.raises(
        InputError, match=rf"tensor '{name}' has shape \(\d+,\), the others ask for".replace(".", r"\.")
    ):
        patch_from_state(state)


@pytest.mark.parametrize(
    "name", [name for name, value in patch_state().items() if value.ndim == 2 and value.shape[0] != value.shape[1]]
)
def test_a_transposed_tensor_is_named(name: str) -> None:
    state = patch_state()
    state[name] = state[name].T.contiguous()
    with pytest.raises(InputError, match=f"tensor '{name}' has shape".replace(".", r"\.")):
        patch_from_state(state)


def put(**tensors: Tensor) -> State:
    return patch_state() | {name.replace("__", "."): value for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (put(output_nrm__weight=torch.zeros(1)), "unexpected tensor 'output_nrm.weight'; did you mean"),
        (put(learnable_query=torch.zeros(1)), "'learnable_query' belongs to learnt queries"),
        (put(start_end_tokens=torch.zeros(1)), "'start_end_tokens' belongs to start and end tokens"),
        (put(output_norm__bias=torch.full((32,), torch.nan)), "'output_norm.bias' holds NaN"),
        (put(output_norm__bias=torch.zeros(32).half()), "'output_norm.bias' is torch.float16; give all in one"),
        ({}, "holds no tensor"),
        (
            {**patch_state(), "model.extra": torch.zeros(1)},
            "unexpected tensor 'model.extra'; the others begin with ''",
        ),
        (prefixed(patch_state(), PREFIX) | prefixed(patch_state(), SECOND_PREFIX), "holds two patches"),
        (prefixed(patch_state(), SECOND_PREFIX), "the first patch is missing"),
    ],
)
def test_odd_states_are_refused_by_name(state: State, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        patch_from_state(state)
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_no_weights() -> None:
    with pytest.raises(InputError, match=r"is torch\.int64"):
        patch_from_state({name: value.long() for name, value in patch_state().items()})


def test_choices_that_weights_do_not_tell() -> None:
    with pytest.raises(InputError, match="hidden_dim 16 is no multiple of heads 3"):
        patch_from_state(patch_state(), heads=3)
    with pytest.raises(InputError, match="positions is 'rotary'; choose from none, rotary_3d"):
        patch_from_state(patch_state(), positions="rotary")  # type: ignore[arg-type]
