"""The reference's parameter names in this project's, and its golden files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from pave.config import PatchConfig

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden"

NAMES = {
    "cross_attn_layers.": "layers.",
    ".attn.k_linear.": ".attention.key.",
    ".attn.q_linear.": ".attention.query.",
    ".ffn.0.": ".feed_forward.norm.",
    ".ffn.1.": ".feed_forward.up.",
    ".ffn.3.": ".feed_forward.down.",
    "query_input_mapping.": "query_projection.",
    "input_mapping.": "key_projection.",
    "output_mapping.0.": "output.up.",
    "output_mapping.2.": "output.down.",
    "output_norm.": "norm.",
}


def our_name(name: str) -> str:
    """Return this project's name of a reference parameter."""
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def our_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a reference state under this project's names, without the value projections that it never uses."""
    return {our_name(name): weight for name, weight in weights.items() if ".v_linear." not in name}


def read_config(folder: Path) -> tuple[PatchConfig, dict[str, Any]]:
    """Return the patch configuration of a golden folder, and all that its ``config.json`` says."""
    data = json.loads((folder / "config.json").read_text())
    sizes = data["config"]
    config = PatchConfig(
        channel="audio",
        side_dim=sizes["input_dim"],
        query_dim=sizes["query_input_dim"],
        token_dim=sizes["output_dim"],
        hidden_dim=sizes["cross_attn_hidden_dim"],
        memory_dim=sizes["embed_dim"],
        heads=sizes["num_cross_attn_head"],
        layers=sizes["num_cross_attn_layer"],
        value_projection="tied",
        positions="rotary_3d" if sizes["use_3d_rope"] else "none",
        alignment="index",
    )
    return config, data
