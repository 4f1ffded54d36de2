"""A training configuration refuses what cannot work, in the user's words."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pave.config import LoraSpec, Preprocessing, from_dict
from pave.errors import InputError
from pave.training.config import PatchTask, Source, TrainConfig
from tests.tiny import PATCH, PREPROCESSING

SEVERAL = {"measure": "depth", "hear": "audio"}


def make(**fields: Any) -> TrainConfig:
    settings = {"patch": PATCH, "preprocessing": PREPROCESSING, "data": (Source(Path("set")),), **fields}
    return TrainConfig(base="base", out=Path("out"), **settings)


def make_several(**fields: Any) -> TrainConfig:
    tasks = {name: PatchTask(replace(PATCH, channel=channel), {"type": "x"}) for name, channel in SEVERAL.items()}
    return make(**{"patch": None, "patches": tasks, "preprocessing": Preprocessing(8), **fields})


def test_a_single_patch_is_named_like_its_channel() -> None:
    assert make().parts == {"audio": (PATCH, PREPROCESSING)} and make().channels == ["audio"]
    alone = make(patch=None, preprocessing=Preprocessing(8))
    assert alone.parts == {"lora_only": (None, Preprocessing(8))} and alone.channels == []


def test_several_patches_have_names_of_their_own_and_one_order() -> None:
    config = make_several()
    assert list(config.parts) == ["hear", "measure"] and config.channels == ["audio", "depth"]
    assert config.parts["hear"][1] == Preprocessing(8, {"type": "x"})
    assert [config.folder(name) for name in config.parts] == [Path("hear"), Path("measure")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patches": {}}, "patches is empty"),
        ({"patch": PATCH}, "patch and patches are both given"),
        ({"start": "hear"}, "start and patches are both given"),
        ({"preprocessing": PREPROCESSING}, "preprocessing.encoder is for a single patch"),
        ({"patches": {name: PatchTask(PATCH, {}) for name in ("a", "b")}}, "'a' and 'b' both read channel 'audio'"),
        ({"data": (Source(Path("set"), channels=("audio", "vewis")),)}, "set: no patch reads channel 'vewis'"),
    ],
)
def test_several_patches_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_several(**fields)


def test_a_decay_that_is_not_asked_for_does_not_limit_the_warmup() -> None:
    assert make(scheduler="cosine", warmup=0.9).warmup == 0.9


def test_reads_what_a_file_would_hold() -> None:
    data = {
        "base": "blindspot",
        "out": "out",
        "data": [{"path": "set", "cap": 10}, {"path": "more", "weight": 2}],
        "preprocessing": {"frames": 8, "encoder": {"type": "log_mel"}},
        "patch": {"channel": "audio", "side_dim": 64},
    }
    config = from_dict(TrainConfig, data, "hear.yaml")
    assert config.data == (Source(Path("set"), 10), Source(Path("more"), None, 2.0))
    assert config.lora == LoraSpec() and config.out == Path("out")
    with pytest.raises(InputError, match="hear.yaml: unknown key 'patch_rl' in train; did you mean 'patch_lr'"):
        from_dict(TrainConfig, {**data, "patch_rl": 1e-3}, "hear.yaml")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": None, "lora": None}, "neither patch nor lora"),
        ({"data": ()}, "data is empty"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"patch_lr": 0.0}, "patch_lr is 0.0; it must be above 0"),
        ({"lora_lr": math.nan}, "lora_lr is nan; it must be above 0"),
        ({"patch_lr": math.inf}, "patch_lr is inf; it must be above 0 and finite"),
        ({"lora_lr": math.inf}, "lora_lr is inf; it must be above 0 and finite"),
        ({"norm_lr": math.inf}, "norm_lr is inf; it must be above 0 and finite, or null for patch_lr"),
        ({"norm_lr": math.nan}, "norm_lr is nan; it must be above 0 and finite"),
        ({"epochs": math.inf}, "epochs is inf; it must be above 0 and finite"),
        ({"warmup": math.inf}, "warmup is inf; it must be from 0 up to"),
        ({"warmup": math.nan}, "warmup is nan; it must be from 0 up to"),
        ({"weight_decay": math.inf}, "weight_decay is inf; it must be 0 or more, and finite"),
        ({"max_grad_norm": math.nan}, "max_grad_norm is nan; it must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be 0 or more"),
        ({"side_dropout": 1.0}, "side_dropout is 1.0; it must be from 0 up to, not including, 1"),
        ({"decay": 0.0}, "decay is 0.0; it must be above 0"),
        (
            {"scheduler": "warmup_stable_decay", "warmup": 0.5, "decay": 0.6},
            "decay is 0.6; it must be above 0, and with warmup at most 1",
        ),
        ({"data": (Source(Path("set"), from_step=2),)}, "every data source has a from_step"),
        ({"steps": 0}, "steps is 0; it must be at least 1, or null to count in epochs"),
        ({"precision": "fp8"}, "precision is 'fp8'; choose from 'fp32', 'bf16', 'fp16'"),
        ({"preprocessing": Preprocessing(8)}, "preprocessing.encoder is missing; say what makes channel 'audio'"),
    ],
)
def test_bad_values_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**fields)


def test_infinity_is_no_limit() -> None:
    assert make(max_grad_norm=math.inf, cache_limit_gb=math.inf).max_grad_norm == math.inf


def test_bad_sources_are_refused() -> None:
    with pytest.raises(InputError, match="data source set: cap is 0"):
        Source(Path("set"), cap=0)
    with pytest.raises(InputError, match="data source set: from_step is -1"):
        Source(Path("set"), from_step=-1)
    with pytest.raises(InputError, match="data source set: weight is 0"):
        Source(Path("set"), weight=0)
