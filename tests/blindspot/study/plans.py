"""A tiny plan for tests: a base, a LoRA alone and a patch, trained for a handful of steps on a handful of films."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

TRAINING: dict[str, Any] = {
    "base": "blindspot",
    "out": "outputs/tiny",
    "data": [{"path": "data/train", "make": {"track": "hear", "count": 8, "seed": 1, "questions_per_clip": 8}}],
    "preprocessing": {"frames": 8, "encoder": {"type": "log_mel"}},
    "patch": {"channel": "audio", "side_dim": 256, "hidden_dim": 32, "query": "projected"},
    "lora": {"r": 2, "alpha": 2, "dropout": 0.0},
    "steps": 6,
    "batch_size": 2,
    "gradient_accumulation": 1,
    "norm_lr": 0.03,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "cache_video_tokens": True,
    "save_every": 2,
    "log_every": 2,
}

PLAN: dict[str, Any] = {
    "about": "tiny",
    "sets": {"hear": {"track": "hear", "count": 6, "seed": 5}},
    "axes": {
        "method": {
            "base": {"train": False},
            "lora": {"overrides": {"patch": None, "norm_lr": None, "preprocessing.encoder": None}},
            "default": {},
        },
        "seed": [0, 1],
    },
    "runs": [
        {"config": "train.yaml", "each": ["method"], "keep": {"method": "base"}, "evaluate": ["hear"]},
        {
            "name": "{method}-{seed}",
            "config": "train.yaml",
            "each": ["method", "seed"],
            "keep": {"method": ["lora", "default"]},
            "evaluate": ["hear", {"set": "hear", "name": "silent", "side": "zeroed"}],
        },
    ],
    "quick": {"keep": {"seed": 0}, "overrides": {"steps": 2}, "count": 4},
}


def plan() -> dict[str, Any]:
    """Return the plan, to be changed at will."""
    return copy.deepcopy(PLAN)


def write_plan(folder: Path, content: Any = None, training: Any = None) -> Path:
    """Write a plan and the training that it names."""
    (folder / "train.yaml").write_text(yaml.safe_dump(training or TRAINING), encoding="utf-8")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(PLAN if content is None else content, sort_keys=False), encoding="utf-8")
    return path
