"""Configurations: strict in, complete out, one clear line for every mistake."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pave.config import (
    FORMAT_VERSION,
    BaseRecord,
    LoraSpec,
    PatchConfig,
    PatchSpec,
    Preprocessing,
    from_dict,
    read_json,
    to_dict,
)
from pave.errors import InputError

SPEC = PatchSpec(
    base=BaseRecord("someone/base", "llava_onevision", 896, 1152),
    patch=PatchConfig(channel="audio", side_dim=1024, query_dim=1152, token_dim=896, overlap_sec=0.5),
    lora=LoraSpec(r=8, targets=("q_proj", "v_proj")),
    training={"seed": 7},
)


@pytest.mark.parametrize("config", [SPEC, SPEC.patch, LoraSpec(), Preprocessing(8, {"type": "log_mel"})])
def test_round_trip_through_json(config: Any) -> None:
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


def test_stamps_format_and_library_version() -> None:
    data = to_dict(SPEC)
    assert data["format_version"] == FORMAT_VERSION
    assert data["library_version"].count(".") == 2


def test_defaults_are_the_papers_sizes() -> None:
    config = PatchConfig(channel="audio", side_dim=1024)
    assert (config.hidden_dim, config.heads, config.layers) == (512, 4, 2)
    assert LoraSpec() == LoraSpec(r=64, alpha=16, dropout=0.05)


def patch(**changes: Any) -> dict[str, Any]:
    return {"channel": "audio", "side_dim": 8, **changes}


@pytest.mark.parametrize(
    ("cls", "data", "message"),
    [
        (PatchConfig, patch() | {1: 2}, "here: unknown key 1 in patch; known: "),
        (PatchConfig, patch(alignmnt="time"), r"here: unknown key 'alignmnt' in patch; did you mean 'alignment'\?"),
        (PatchConfig, {"channel": "audio"}, "here: patch lacks 'side_dim'"),
        (
            PatchConfig,
            patch(alignment="tyme"),
            r"'tyme'; choose from 'time', 'index', 'none'; did you mean 'time'",
        ),
        (PatchConfig, patch(side_dim="8"), "patch.side_dim is '8'; it must be of type int"),
        (PatchConfig, patch(layers=True), "patch.layers is True; it must be of type int"),
        (PatchConfig, patch(layers=0), "layers is 0; it must be at least 1"),
        (PatchConfig, patch(heads=3), "hidden_dim 512 is no multiple of heads 3"),
        (PatchConfig, patch(side_scale=0), "side_scale is 0.0; it must be above 0"),
        (PatchConfig, patch(overlap_sec=-1), "overlap_sec is -1.0; it must be 0 or more seconds"),
        (PatchConfig, patch(overlap_sec=1, alignment="index"), "overlap_sec needs alignment 'time'"),
        (PatchConfig, patch(hidden_dim=6, heads=2, positions="rotary_time"), "need an even hidden_dim / heads"),
        (PatchConfig, patch(format_version=FORMAT_VERSION + 1), "upgrade pave"),
        (PatchConfig, ["audio"], "patch must be a mapping of names to values, not list"),
        (LoraSpec, {"r": 0}, "r 0 and alpha 16 must be at least 1"),
        (LoraSpec, {"dropout": 1.0}, "dropout is 1.0"),
        (LoraSpec, {"targets": "q_proj"}, "lora.targets is 'q_proj'; it must be a list"),
        (Preprocessing, {"frames": 0}, "frames is 0"),
        (PatchSpec, {**to_dict(SPEC), "patch": None, "lora": None}, "neither a fusion module nor a LoRA"),
        (PatchSpec, {**to_dict(SPEC), "lora": {"rank": 8}}, "here: patch.lora: unknown key 'rank' in lora"),
    ],
)
def test_mistakes_are_answered_in_one_line(cls: type, data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_dict(cls, data, "here")
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Nested:
    """Every kind of field that a configuration may have."""

    folder: Path
    parts: list[LoraSpec] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    limit: int | None = None


def test_nested_kinds() -> None:
    data = {"folder": "out", "parts": [{"r": 4}], "weights": {"a": 1}, "limit": None}
    assert from_dict(Nested, data) == Nested(Path("out"), [LoraSpec(r=4)], {"a": 1.0}, None)
    with pytest.raises(InputError, match=r"nested.parts\[0\]"):
        from_dict(Nested, {"folder": "out", "parts": [{"s": 4}]})
    for folder in (5, None, ["out"]):
        with pytest.raises(InputError, match=r"nested.folder is .*; it must be a path"):
            from_dict(Nested, {"folder": folder})


def test_read_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.json: no such file"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="bad.json: not valid JSON"):
        read_json(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="list.json: holds a JSON list"):
        read_json(tmp_path / "list.json")
