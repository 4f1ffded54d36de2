"""Patch folders become checkpoints of the reference: there and back nothing changes, and what cannot go is named."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pave import InputError, LoraSpec, PatchConfig, PaveModel, Preprocessing
from pave.checkpoint import read_spec
from pave.convert.base import convert_base
from pave.convert.reference import convert_reference, patch_from_state
from pave.convert.reference_config import original_name
from pave.convert.to_reference import convert_to_reference
from tests.batches import randomize
from tests.convert.checkpoints import (
    LORA_FILE,
    NAME,
    PATCH_FILE,
    PREFIX,
    patch_state,
    write_checkpoint,
    write_json,
    write_patch_only,
    write_two,
)
from tests.convert.golden import BASE, GOLDEN, SIDES, checkpoint

FAMILY = "llava_onevision"
LORA = LoraSpec(r=2, alpha=6, dropout=0.1)
EXPRESSIBLE = PatchConfig(
    channel="depth",
    side_dim=5,
    hidden_dim=16,
    heads=2,
    layers=3,
    value_projection="tied",
    positions="rotary_3d",
    alignment="index",
    query="vision",
    layout="grid",
)


def same_files(first: Path, second: Path, leave_out: str = "") -> None:
    """Check that two folders hold the same files, byte for byte."""
    found = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (first, second)]
    assert found[0] - {Path(leave_out)} == found[1] - {Path(leave_out)}
    for file in found[0] - {Path(leave_out)}:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def same_tensors(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype and torch.equal(value, second[name]), name


def trained(base: str, folder: Path, **changes: Any) -> Path:
    """Write a patch that was trained here."""
    model = PaveModel.from_base(base)
    config = replace(EXPRESSIBLE, **changes)
    preprocessing = Preprocessing(8, {"type": "precomputed", "width": config.side_dim})
    model.add_patch("mine", config, LORA, preprocessing)
    randomize(model, "mine")
    model.save_patch("mine", folder, {"seed": 3, "data": "mine"})
    return folder


class TestThereAndBack:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_checkpoint_of_the_reference(self, base: str, tmp_path: Path, dtype: torch.dtype) -> None:
        source = write_checkpoint(tmp_path / NAME, dtype)
        convert_reference(source, base, tmp_path / "one")
        convert_to_reference(tmp_path / "one", tmp_path / "back")
        convert_reference(tmp_path / "back", base, tmp_path / "two")
        same_files(tmp_path / "one", tmp_path / "two")
        stored = [torch.load(folder / PATCH_FILE, weights_only=True) for folder in (source, tmp_path / "back")]
        same_tensors(*stored)
        same_tensors(load_file(source / LORA_FILE), load_file(tmp_path / "back" / LORA_FILE))
        config = [json.loads((folder / "config.json").read_text()) for folder in (source, tmp_path / "back")]
        assert config[0] == config[1]
        adapter = [json.loads((folder / "adapter_config.json").read_text()) for folder in (source, tmp_path / "back")]
        adapter[0]["target_modules"].sort()
        assert adapter[0].items() <= adapter[1].items()

    def test_two_patches(self, base: str, tmp_path: Path) -> None:
        source = write_two(tmp_path / "pave_lora_two")
        convert_reference(source, base, tmp_path / "one")
        convert_to_reference(tmp_path / "one", tmp_path / "back")
        convert_to_reference(tmp_path / "one" / "frames", tmp_path / "named", tmp_path / "one" / "audio")
        convert_reference(tmp_path / "back", base, tmp_path / "two")
        same_files(tmp_path / "one" / "frames", tmp_path / "two" / "frames")
        same_files(tmp_path / "one" / "audio", tmp_path / "two" / "audio")
        for folder in ("back", "named"):
            stored = [torch.load(path / PATCH_FILE, weights_only=True) for path in (source, tmp_path / folder)]
            assert len(stored[1]) == 70
            same_tensors(*stored)
        config = json.loads((tmp_path / "back" / "config.json").read_text())
        assert config == json.loads((source / "config.json").read_text())

    def test_one_of_two(self, base: str, tmp_path: Path) -> None:
        convert_reference(write_two(tmp_path / "pave_lora_two"), base, tmp_path / "one")
        convert_to_reference(tmp_path / "one" / "frames", tmp_path / "back")
        config = json.loads((tmp_path / "back" / "config.json").read_text())
        assert config["model_type"] == "pave_qwen2" and "temporal_aggregator2_type" not in config
        convert_reference(tmp_path / "back", base, tmp_path / "again")
        same_files(tmp_path / "one" / "frames", tmp_path / "again", leave_out="reference/config.json")

    def test_a_patch_alone(self, base: str, tmp_path: Path) -> None:
        source = write_patch_only(tmp_path / "pave_adaptor")
        convert_reference(source, base, tmp_path / "one")
        convert_to_reference(tmp_path / "one", tmp_path / "back")
        stored = [torch.load(folder / "mm_projector.bin", weights_only=True) for folder in (source, tmp_path / "back")]
        same_tensors(*stored)
        assert not (tmp_path / "back" / "adapter_config.json").exists()

    def test_a_patch_that_was_trained_here(self, base: str, tmp_path: Path) -> None:
        patch = trained(base, tmp_path / "mine")
        report = convert_to_reference(patch, tmp_path / "pave_lora_mine")
        assert (report.tensors, report.drawn, report.lora_tensors) == (40, 6, 28)
        convert_reference(tmp_path / "pave_lora_mine", base, tmp_path / "again")
        for file in (
            "patch_config.json",
            "patch.safetensors",
            "preprocessing.json",
            "lora/adapter_config.json",
            "lora/adapter_model.safetensors",
        ):
            assert (patch / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file
        convert_to_reference(tmp_path / "again", tmp_path / "pave_lora_again")
        same_files(tmp_path / "pave_lora_mine", tmp_path / "pave_lora_again")

    def test_what_the_user_says_stands_above_the_record(self, base: str, tmp_path: Path) -> None:
        convert_to_reference(trained(base, tmp_path / "mine"), tmp_path / "pave_lora")
        convert_reference(tmp_path / "pave_lora", base, tmp_path / "again", positions="none", channels=["views"])
        spec = read_spec(tmp_path / "again")
        assert spec.patch is not None and (spec.patch.positions, spec.patch.channel) == ("none", "views")
        assert spec.patch.heads == 2 and spec.training["positions_source"] == "as told"

    def test_a_record_of_other_weights_is_left_out(
        self, base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        convert_to_reference(trained(base, tmp_path / "mine"), tmp_path / "pave_lora")
        lora = load_file(tmp_path / "pave_lora" / LORA_FILE)
        save_file({name: value + 1 for name, value in lora.items()}, tmp_path / "pave_lora" / LORA_FILE)
        with caplog.at_level(logging.WARNING, "pave"):
            convert_reference(tmp_path / "pave_lora", base, tmp_path / "again")
        assert any("was written for other weights" in line for line in caplog.messages)
        patch = read_spec(tmp_path / "again").patch
        assert patch is not None and (patch.heads, patch.positions) == (4, "none")


class TestWhatIsWritten:
    def test_names_and_fresh_unused_weights(self, base: str, tmp_path: Path) -> None:
        patch = trained(base, tmp_path / "mine")
        report = convert_to_reference(patch, tmp_path / "pave_lora_mine")
        state = torch.load(tmp_path / "pave_lora_mine" / PATCH_FILE, weights_only=True)
        assert state.keys() == {PREFIX + name for name in patch_state(layers=3)}
        ours = patch_from_state(state, heads=2, positions="rotary_3d").state_dict()
        same_tensors(ours, load_file(patch / "patch.safetensors"))
        for layer in range(3):
            start = f"{PREFIX}cross_attn_layers.{layer}.attn.v_linear."
            assert not state[start + "bias"].any()
            weight = state[start + "weight"]
            assert 0.2 < weight.abs().max() <= 16**-0.5 and abs(weight.mean()) < 0.05
        (sizes,) = report.sizes
        assert (sizes["input_dim"], sizes["num_cross_attn_layer"], sizes["use_3d_rope"]) == (5, 3, True)

    @pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's checkpoints are not beside this checkout")
    def test_the_reference_s_own_keys(self, base: str, tmp_path: Path) -> None:
        convert_to_reference(trained(base, tmp_path / "mine"), tmp_path / "pave_lora_mine")
        for file in ("config.json", "adapter_config.json"):
            theirs = json.loads((checkpoint("audio") / file).read_text())
            ours = json.loads((tmp_path / "pave_lora_mine" / file).read_text())
            assert ours.keys() == theirs.keys()
            fixed = [key for key in theirs if key.startswith(("mm_", "megatron", "temporal")) and "hidden" not in key]
            assert len(fixed) >= 2 and all(ours[key] == theirs[key] for key in fixed)

    def test_a_name_that_the_reference_would_not_load(
        self, base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        patch = trained(base, tmp_path / "mine")
        with caplog.at_level(logging.WARNING, "pave"):
            convert_to_reference(patch, tmp_path / "out")
        assert any(
            "out: the reference goes by a folder's name; put pave and lora into it" in m for m in caplog.messages
        )
        caplog.clear()
        with caplog.at_level(logging.WARNING, "pave"):
            convert_to_reference(patch, tmp_path / "pave_lora")
        assert not caplog.messages

    def test_names_of_bases(self) -> None:
        assert original_name("llava-hf/llava-onevision-qwen2-7b-ov-hf") == "lmms-lab/llava-onevision-qwen2-7b-ov"
        assert original_name("my/base") == "my/base"


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"value_projection": "separate"},
                "patch.value_projection is 'separate'; the reference can express 'tied'",
            ),
            ({"alignment": "time"}, "patch.alignment is 'time'; the reference can express 'index' only"),
            ({"positions": "rotary_time"}, "patch.positions is 'rotary_time'"),
            ({"query": "projected"}, "patch.query is 'projected'"),
            ({"layout": "native"}, "patch.layout is 'native'; the reference can express 'grid' only"),
        ],
    )
    def test_fields(self, base: str, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        patch = trained(base, tmp_path / "mine", **changes)
        refused(message, patch, tmp_path / "out")

    def test_other_things(self, base: str, tmp_path: Path) -> None:
        model = PaveModel.from_base(base)
        model.add_patch("control", None, LORA)
        model.save_patch("control", tmp_path / "control")
        refused("patch is null; the reference has no checkpoint of a LoRA alone", tmp_path / "control", tmp_path / "o")
        patch = trained(base, tmp_path / "mine")
        spec = json.loads((patch / "patch_config.json").read_text())
        spec["base"]["model_type"] = "qwen2_5_vl"
        write_json(patch / "patch_config.json", spec)
        refused("base.model_type is 'qwen2_5_vl'", patch, tmp_path / "o")
        refused("holds no patch_config.json", tmp_path, tmp_path / "o", tmp_path)

    def test_pairs_that_share_no_lora(self, base: str, tmp_path: Path) -> None:
        convert_reference(write_two(tmp_path / "pave_lora_two"), base, tmp_path / "two")
        mine = trained(base, tmp_path / "mine")
        refused("lora.shared is not that of", tmp_path / "two" / "frames", tmp_path / "o", mine)
        refused("lora.shared is not that of", mine, tmp_path / "o", mine)
        frames = tmp_path / "two" / "frames"
        refused("reads the channel 'frames' like", frames, tmp_path / "o", frames)
        file = tmp_path / "two" / "audio" / "lora" / "adapter_model.safetensors"
        save_file({name: value + 1 for name, value in load_file(file).items()}, file)
        refused("differs from the LoRA of .*frames, which it is to share", tmp_path / "two", tmp_path / "o")
        mine.rename(tmp_path / "two" / "mine")
        refused("holds 3 patch folders; give the first one", tmp_path / "two", tmp_path / "o")

    def test_spoiled_patches(self, base: str, tmp_path: Path) -> None:
        convert_reference(write_checkpoint(tmp_path / NAME), base, tmp_path / "one")
        unused = tmp_path / "one" / "reference" / "unused.safetensors"
        state = load_file(unused)
        removed = state.popitem()[0]
        save_file(state, unused)
        refused(f"unused.safetensors: tensor '{removed}' is missing", tmp_path / "one", tmp_path / "o")
        weights = tmp_path / "one" / "patch.safetensors"
        save_file({"norm.weight": torch.zeros(2)}, weights)
        refused("patch.safetensors: tensor '.*' is missing", tmp_path / "one", tmp_path / "o")


def refused(message: str, patch: Path, out: Path, second: Path | None = None) -> None:
    with pytest.raises(InputError, match=message) as caught:
        convert_to_reference(patch, out, second)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's checkpoints are not beside this checkout")
@pytest.mark.parametrize("side", SIDES)
def test_the_reference_s_own_checkpoints(side: str, tmp_path: Path) -> None:
    convert_base(BASE, tmp_path / "base")
    source = checkpoint(side)
    convert_reference(source, str(tmp_path / "base"), tmp_path / "one")
    convert_to_reference(tmp_path / "one", tmp_path / "back")
    convert_reference(tmp_path / "back", str(tmp_path / "base"), tmp_path / "two")
    same_files(tmp_path / "one", tmp_path / "two")
    stored = [torch.load(folder / PATCH_FILE, weights_only=True) for folder in (source, tmp_path / "back")]
    same_tensors(*stored)
    for file in ("config.json", "adapter_config.json"):
        first, second = (json.loads((folder / file).read_text()) for folder in (source, tmp_path / "back"))
        first.get("target_modules", []).sort()
        assert first == second
