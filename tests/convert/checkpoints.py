"""Small checkpoints laid out as the reference writes them, for the tiny LLaVA-OneVision of the tests."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pave import InputError
from pave.convert.reference import convert_reference

State = dict[str, Tensor]

SIDE, HIDDEN, MEMORY, QUERY, TOKEN, RANK = 6, 16, 12, 16, 32, 2
PREFIX = "base_model.model.model.temporal_aggregator."
SECOND_PREFIX = "base_model.model.model.temporal_aggregator2."
PATCH_FILE, LORA_FILE = "non_lora_trainables.bin", "adapter_model.safetensors"
NAME = "pave_v5_1_3_lora_tiny_audio"

LAYER = {
    "attn.q_linear.weight": (HIDDEN, HIDDEN),
    "attn.q_linear.bias": (HIDDEN,),
    "attn.k_linear.weight": (HIDDEN, MEMORY),
    "attn.k_linear.bias": (HIDDEN,),
    "attn.v_linear.weight": (HIDDEN, MEMORY),
    "attn.v_linear.bias": (HIDDEN,),
    "ffn.0.weight": (HIDDEN,),
    "ffn.0.bias": (HIDDEN,),
    "ffn.1.weight": (2 * HIDDEN, HIDDEN),
    "ffn.3.weight": (HIDDEN, 2 * HIDDEN),
}
LINEARS = {
    "self_attn.q_proj": (32, 32),
    "self_attn.k_proj": (32, 16),
    "self_attn.v_proj": (32, 16),
    "self_attn.o_proj": (32, 32),
    "mlp.gate_proj": (32, 48),
    "mlp.up_proj": (32, 48),
    "mlp.down_proj": (48, 32),
}
MODULES = {f"model.layers.{layer}.{name}": size for layer in range(2) for name, size in LINEARS.items()}


def patch_state(seed: int = 0, layers: int = 2, side: int = SIDE, dtype: torch.dtype = torch.float32) -> State:
    """A patch's weights under the reference's names, without any prefix, in the reference's order."""
    shapes: dict[str, tuple[int, ...]] = {
        "input_mapping.weight": (MEMORY, side),
        "input_mapping.bias": (MEMORY,),
        "query_input_mapping.weight": (HIDDEN, QUERY),
        "query_input_mapping.bias": (HIDDEN,),
        **{f"cross_attn_layers.{i}.{name}": shape for i in range(layers) for name, shape in LAYER.items()},
        "output_mapping.0.weight": (2 * HIDDEN, HIDDEN),
        "output_mapping.0.bias": (2 * HIDDEN,),
        "output_mapping.2.weight": (TOKEN, 2 * HIDDEN),
        "output_mapping.2.bias": (TOKEN,),
        "output_norm.weight": (TOKEN,),
        "output_norm.bias": (TOKEN,),
    }
    generator = torch.Generator().manual_seed(seed)
    return {name: (torch.randn(shape, generator=generator) * 0.4).to(dtype) for name, shape in shapes.items()}


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def lora_state(dtype: torch.dtype = torch.float32) -> State:
    generator = torch.Generator().manual_seed(9)
    state = {}
    for module, (inputs, outputs) in MODULES.items():
        state[f"base_model.model.{module}.lora_A.weight"] = torch.randn(RANK, inputs, generator=generator).to(dtype)
        state[f"base_model.model.{module}.lora_B.weight"] = torch.randn(outputs, RANK, generator=generator).to(dtype)
    return state


def reference_config(**changes: Any) -> dict[str, Any]:
    config = {
        "_name_or_path": "lmms-lab/tiny",
        "model_type": "pave_qwen2",
        "hidden_size": TOKEN,
        "feat_combine_method": "add",
        "mm_newline_position": "grid",
        "temporal_aggregator_type": "pmv5",
        "train_addition_start_end_tokens": False,
        "vocab_size": 200,
    }
    return {**config, **changes}


ADAPTER = {
    "base_model_name_or_path": "lmms-lab/tiny",
    "bias": "none",
    "lora_alpha": 8,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": RANK,
    "target_modules": sorted(MODULES, reverse=True),
    "task_type": "CAUSAL_LM",
}


def write_checkpoint(folder: Path, dtype: torch.dtype = torch.float32, pickled_lora: bool = False) -> Path:
    """Write a checkpoint of one patch and a LoRA."""
    folder.mkdir(parents=True)
    torch.save(prefixed(patch_state(dtype=dtype), PREFIX), folder / PATCH_FILE)
    if pickled_lora:
        torch.save(lora_state(dtype), folder / "adapter_model.bin")
    else:
        save_file(lora_state(dtype), folder / LORA_FILE, metadata={"format": "pt"})
    write_json(folder / "adapter_config.json", ADAPTER)
    write_json(folder / "config.json", reference_config())
    write_json(folder / "trainer_state.json", {"global_step": 7, "epoch": 0.5})
    (folder / "README.md").write_text("a card that peft wrote")
    return folder


def write_two(folder: Path) -> Path:
    """Write a checkpoint of two patches that share a LoRA."""
    write_checkpoint(folder)
    both = prefixed(patch_state(1), PREFIX) | prefixed(patch_state(2, layers=3, side=5), SECOND_PREFIX)
    torch.save(both, folder / PATCH_FILE)
    changes = {"model_type": "pave_qwen2_multi_sides", "temporal_aggregator2_type": "ssmv5"}
    write_json(folder / "config.json", reference_config(**changes))
    return folder


def write_patch_only(folder: Path) -> Path:
    """Write a checkpoint of a patch without a LoRA."""
    folder.mkdir(parents=True)
    torch.save(prefixed(patch_state(), "model.temporal_aggregator."), folder / "mm_projector.bin")
    write_json(folder / "config.json", reference_config())
    return folder


def write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))


def zipped(folder: Path, path: Path, inside: str = "") -> Path:
    """Put a folder's files into a zip, under ``inside``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return path


def edit_pickle(name: str, change: Callable[[State], Any]) -> Callable[[Path], None]:
    """Return what changes the tensors of a pickle in a checkpoint."""

    def edit(folder: Path) -> None:
        state = torch.load(folder / name, weights_only=True)
        change(state)
        torch.save(state, folder / name)

    return edit


def refused(path: Path, base: str, out: Path, message: str) -> None:
    """Check that a conversion is refused with one line, and leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(InputError, match=message) as caught:
        convert_reference(path, base, out)
    assert "\n" not in str(caught.value)
    assert sorted(out.parent.iterdir()) == before


class Intruder:
    """Runs a command when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.marker}",))
