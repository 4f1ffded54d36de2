"""Released checkpoints become patch folders that load strictly; a spoiled one is refused and writes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from pave import InputError, PaveModel, SideChannel
from pave.checkpoint import read_preprocessing, read_spec
from pave.convert.base import convert_base
from pave.convert.reference import convert_reference, patch_from_state
from tests.batches import Batch, logits, make_batch
from tests.convert.checkpoints import (
    ADAPTER,
    LORA_FILE,
    NAME,
    PATCH_FILE,
    PREFIX,
    SECOND_PREFIX,
    SIDE,
    edit_pickle,
    lora_state,
    patch_state,
    prefixed,
    reference_config,
    refused,
    write_checkpoint,
    write_json,
    write_patch_only,
    write_two,
)
from tests.convert.golden import BASE, GOLDEN, SIDES, checkpoint
from tests.tiny import base_folder, make_model

FAMILY = "llava_onevision"


def channel(seed: int, side: int = SIDE) -> list[SideChannel | None]:
    values = torch.randn(2, 5, 4, side, generator=torch.Generator().manual_seed(seed))
    return [SideChannel(row, torch.arange(5)) for row in values]


def batch_of(**channels: list[SideChannel | None]) -> Batch:
    batch = make_batch(FAMILY, layout="grid")
    batch.side = dict(channels)
    return batch


class TestOnePatch:
    @pytest.mark.parametrize("pickled", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_tensors_and_settings(self, base: str, tmp_path: Path, dtype: torch.dtype, pickled: bool) -> None:
        source = write_checkpoint(tmp_path / NAME, dtype, pickled_lora=pickled)
        report = convert_reference(source, base, tmp_path / "out")
        spec = read_spec(tmp_path / "out")
        assert spec.patch is not None and spec.lora is not None
        patch = spec.patch
        assert (patch.side_dim, patch.memory_dim, patch.hidden_dim, patch.layers, patch.heads) == (SIDE, 12, 16, 2, 4)
        assert (patch.query_dim, patch.token_dim, patch.channel) == (16, 32, "audio")
        assert (patch.value_projection, patch.alignment) == ("tied", "index")
        assert (patch.layout, patch.query, patch.positions) == ("grid", "vision", "none")
        assert (spec.lora.r, spec.lora.alpha, spec.lora.targets, spec.lora.shared) == (2, 8, None, None)
        assert spec.base.name == base and spec.base.model_type == FAMILY
        assert spec.training["converted_from"] == NAME and spec.training["steps"] == 7
        weights = load_file(tmp_path / "out" / "patch.safetensors")
        wanted = patch_from_state(patch_state(dtype=dtype)).state_dict()
        assert weights.keys() == wanted.keys() and {value.dtype for value in weights.values()} == {dtype}
        assert all(torch.equal(weights[name].float(), value) for name, value in wanted.items())
        lora = load_file(tmp_path / "out" / "lora" / "adapter_model.safetensors")
        for name, value in lora_state(dtype).items():
            ours = lora[name.replace(".model.layers.", ".model.language_model.layers.")]
            assert torch.equal(ours, value) and ours.dtype == dtype
        assert len(lora) == report.lora_tensors == 28
        (converted,) = report.patches
        assert (converted.tensors, converted.unused, converted.dtype) == (26, 4, str(dtype).split(".")[1])

    def test_loads_strictly_and_answers_as_its_parts_do(self, base: str, source: Path, tmp_path: Path) -> None:
        convert_reference(source, base, tmp_path / "out")
        batch = batch_of(audio=channel(1))
        model = PaveModel.from_pretrained(tmp_path / "out", base=make_model(FAMILY))
        found = logits(model, batch.inputs, **batch.extras)
        by_hand = PaveModel.from_base(make_model(FAMILY))
        spec = read_spec(tmp_path / "out")
        by_hand.add_patch("audio", spec.patch, spec.lora)
        by_hand.patches["audio"].load_state_dict(patch_from_state(patch_state()).state_dict())
        renamed = {
            name.replace(".model.layers.", ".model.language_model.layers."): value
            for name, value in lora_state().items()
        }
        by_hand.lora.load_state("audio", renamed)
        assert torch.equal(found, logits(by_hand, batch.inputs, **batch.extras))
        assert model.generate(**batch.inputs, **batch.extras, max_new_tokens=2).shape[1] >= 2

    def test_lora_loads_in_plain_peft(self, base: str, source: Path, tmp_path: Path) -> None:
        convert_reference(source, base, tmp_path / "out")
        model = PaveModel.from_pretrained(tmp_path / "out", base=make_model(FAMILY))
        with torch.no_grad():
            model.patches["audio"].norm.weight.zero_()
            model.patches["audio"].norm.bias.zero_()
        native = make_batch(FAMILY)
        model.lora.act(["audio"])
        wanted = logits(model.base, native.inputs)
        plain = PeftModel.from_pretrained(make_model(FAMILY), tmp_path / "out" / "lora")
        assert torch.equal(logits(plain, native.inputs), wanted)
        assert not torch.equal(wanted, logits(make_model(FAMILY), native.inputs))

    def test_patch_only(self, base: str, tmp_path: Path) -> None:
        convert_reference(write_patch_only(tmp_path / "pave_adaptor"), base, tmp_path / "out")
        assert read_spec(tmp_path / "out").lora is None and not (tmp_path / "out" / "lora").exists()
        PaveModel.from_pretrained(tmp_path / "out", base=make_model(FAMILY))

    def test_inputs_as_the_reference_makes_them(self, base: str, source: Path, tmp_path: Path) -> None:
        convert_reference(source, base, tmp_path / "out")
        preprocessing = read_preprocessing(tmp_path / "out")
        assert preprocessing is not None and preprocessing.encoder is not None
        assert (preprocessing.frames, preprocessing.preset) == (32, "reference")
        assert preprocessing.encoder["width"] == SIDE and preprocessing.encoder["recipe"] == "reference"

    @pytest.mark.parametrize("prefix", ["model.model.temporal_aggregator.", "temporal_aggregator.", "model.", ""])
    def test_prefixes(self, base: str, source: Path, tmp_path: Path, prefix: str) -> None:
        torch.save(prefixed(patch_state(), prefix), source / PATCH_FILE)
        convert_reference(source, base, tmp_path / "out")

    def test_former_type_and_leaf_targets(self, base: str, source: Path, tmp_path: Path) -> None:
        write_json(source / "config.json", reference_config(temporal_aggregator_type="ssmv5"))
        leaves = sorted({target.rsplit(".", 1)[1] for target in ADAPTER["target_modules"]})
        write_json(source / "adapter_config.json", {**ADAPTER, "target_modules": leaves})
        convert_reference(source, base, tmp_path / "out")
        assert read_spec(tmp_path / "out").training["reference_type"] == "ssmv5"

    def test_a_lora_on_some_kinds_of_layers(self, base: str, source: Path, tmp_path: Path) -> None:
        attention = [target for target in ADAPTER["target_modules"] if "self_attn" in target]
        write_json(source / "adapter_config.json", {**ADAPTER, "target_modules": attention})
        save_file({key: value for key, value in lora_state().items() if "self_attn" in key}, source / LORA_FILE)
        convert_reference(source, base, tmp_path / "out")
        lora = read_spec(tmp_path / "out").lora
        assert lora is not None and lora.targets == ("k_proj", "o_proj", "q_proj", "v_proj")
        PaveModel.from_pretrained(tmp_path / "out", base=make_model(FAMILY))


class TestTwoPatches:
    def test_both_come_out_with_one_lora(self, base: str, tmp_path: Path) -> None:
        source = write_two(tmp_path / "pave_v5_1_3_lora_avsd_audio_and_dense_7B")
        report = convert_reference(source, base, tmp_path / "out")
        assert [patch.channel for patch in report.patches] == ["frames", "audio"]
        frames, audio = read_spec(tmp_path / "out" / "frames"), read_spec(tmp_path / "out" / "audio")
        assert frames.patch is not None and audio.patch is not None and frames.lora is not None
        assert (frames.patch.side_dim, audio.patch.side_dim, audio.patch.layers) == (SIDE, 5, 3)
        assert frames.lora == audio.lora and frames.lora.shared == report.lora_shared is not None
        assert "frozen, while 'audio'" in frames.training["joint_training"]
        assert "'frames' was frozen" in audio.training["joint_training"]
        assert (frames.training["reference_type"], audio.training["reference_type"]) == ("pmv5", "ssmv5")
        assert "shares" in (tmp_path / "out" / "audio" / "README.md").read_text()

    def test_the_lora_acts_once(self, base: str, tmp_path: Path) -> None:
        convert_reference(write_two(tmp_path / "two"), base, tmp_path / "out")
        model = PaveModel.from_pretrained(tmp_path / "out" / "frames", base=make_model(FAMILY))
        model.load_patch(tmp_path / "out" / "audio")
        batch = batch_of(frames=channel(1), audio=channel(2, side=5))
        found = logits(model, batch.inputs, **batch.extras)
        single = PaveModel.from_pretrained(tmp_path / "out" / "frames", base=make_model(FAMILY))
        spec = read_spec(tmp_path / "out" / "audio")
        single.add_patch("audio", spec.patch)
        single.patches["audio"].load_state_dict(patch_from_state(patch_state(2, layers=3, side=5)).state_dict())
        torch.testing.assert_close(found, logits(single, batch.inputs, **batch.extras))

    def test_a_channel_each(self, base: str, tmp_path: Path) -> None:
        source = write_two(tmp_path / "two")
        convert_reference(source, base, tmp_path / "out", channels=["first", "second"])
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first", "second"]

    def test_the_second_alone_is_refused(self, base: str, tmp_path: Path) -> None:
        source = write_two(tmp_path / "two")
        torch.save(prefixed(patch_state(), SECOND_PREFIX), source / PATCH_FILE)
        with pytest.raises(InputError, match="the first patch is missing"):
            convert_reference(source, base, tmp_path / "out")


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-700]) and None


def save(name: str, content: Any, **options: Any) -> Callable[[Path], None]:
    return lambda folder: torch.save(content, folder / name, **options)


def edit_json(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        write_json(folder / name, {**json.loads((folder / name).read_text()), **changes})

    return edit


def edit_lora(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        state = load_file(folder / LORA_FILE)
        change(state)
        save_file(state, folder / LORA_FILE)

    return edit


def rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda state: state.update({new: state.pop(old)})


QUERY_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
ZERO = torch.zeros(1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove(PATCH_FILE), f"holds neither {PATCH_FILE} nor mm_projector.bin"),
        (truncate(PATCH_FILE), f"{PATCH_FILE}: damaged or truncated"),
        (save(PATCH_FILE, [ZERO]), f"{PATCH_FILE}: holds a list, not tensors by name"),
        (save(PATCH_FILE, {"a": [1]}), f"{PATCH_FILE}: entry 'a' is a list, not a tensor"),
        (save(PATCH_FILE, {7: ZERO}), f"{PATCH_FILE}: entry 7 has no name"),
        (
            edit_pickle(PATCH_FILE, lambda state: state.pop(PREFIX + "output_norm.bias")),
            "output_norm.bias' is missing",
        ),
        (
            edit_pickle(PATCH_FILE, rename(PREFIX + "output_norm.bias", PREFIX + "norm.b")),
            "'.*norm.b' is there, which",
        ),
        (edit_pickle(PATCH_FILE, lambda state: state.update({PREFIX + "x": ZERO})), "unexpected tensor '.*x'"),
        (save("mm_projector.bin", {}), "holds both"),
        (remove(LORA_FILE), "holds neither of adapter_model.safetensors and adapter_model.bin"),
        (save("adapter_model.bin", lora_state()), "holds both of adapter_model.safetensors and adapter_model.bin"),
        (truncate(LORA_FILE), f"{LORA_FILE}: damaged or truncated"),
        (edit_lora(lambda state: state.pop(QUERY_A)), f"{LORA_FILE}: tensor '{QUERY_A}' is missing"),
        (edit_lora(rename(QUERY_A, QUERY_A + "x")), f"tensor '{QUERY_A}' is missing"),
        (edit_lora(lambda state: state.update({QUERY_A: torch.zeros(3, 32)})), rf"'{QUERY_A}' has shape \(3, 32\)"),
        (edit_lora(lambda state: state.update(more=ZERO)), f"{LORA_FILE}: unexpected tensor 'more'"),
        (edit_lora(lambda state: state[QUERY_A].fill_(torch.inf)), f"'{QUERY_A}' holds NaN or infinity"),
        (remove("adapter_config.json"), "adapter_config.json: no such file"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json: not valid JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json: holds a JSON list"),
        (edit_json("adapter_config.json", use_dora=True), "use_dora is True; the reference has False"),
        (edit_json("adapter_config.json", peft_type="IA3"), "peft_type is 'IA3'"),
        (edit_json("adapter_config.json", r="2"), "r is '2'; it must be a number"),
        (edit_json("adapter_config.json", target_modules="all-linear"), "target_modules is 'all-linear'"),
        (
            edit_json("adapter_config.json", target_modules=["model.layers.9.mlp.up_proj"]),
            "'model.layers.9.mlp.up_proj'",
        ),
        (
            edit_json("adapter_config.json", target_modules=["model.layers.0.mlp.up_proj"]),
            "leaves out '.*1.mlp.up_proj'",
        ),
        (edit_json("config.json", temporal_aggregator_type="pmv6"), "temporal_aggregator_type is 'pmv6'; only 'pmv5'"),
        (edit_json("config.json", feat_combine_method="concat"), "feat_combine_method is 'concat'; only 'add'"),
        (edit_json("config.json", mm_newline_position="frame"), "mm_newline_position is 'frame'; only 'grid'"),
    ],
)
def test_spoiled_checkpoints_are_refused(
    base: str, source: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(source)
    refused(source, base, tmp_path / "out", message)


def test_bases_that_do_not_fit(source: Path, base: str, tmp_path: Path) -> None:
    message = "'query_input_mapping.weight' is for query width 16, but base .* has {}"
    refused(source, str(base_folder("qwen2_5_vl")), tmp_path / "out", message.format(32))
    refused(source, "llava-onevision-7b", tmp_path / "out", message.format(1152))
    refused(source, "nowhere", tmp_path / "out", "unknown base 'nowhere'")
    original = tmp_path / "original"
    original.mkdir()
    write_json(original / "config.json", {"model_type": "llava", "mm_projector_type": "mlp2x_gelu"})
    refused(source, str(original), tmp_path / "out", "in the original layout; .*pave convert base")


def test_a_folder_that_holds_something_stays(base: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    refused(source, base, tmp_path / "out", "out: exists and is not empty")
    refused(tmp_path / "nothing", base, tmp_path / "new", "nothing: no such folder or zip")


def test_without_a_configuration_a_warning(
    base: str, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / "config.json").unlink()
    with caplog.at_level(logging.WARNING, "pave"):
        convert_reference(source, base, tmp_path / "out")
    assert any("config.json: no such file" in line for line in caplog.messages)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's checkpoints are not beside this checkout")
@pytest.mark.parametrize("side", SIDES)
def test_the_reference_s_own_checkpoints(side: str, tmp_path: Path) -> None:
    convert_base(BASE, tmp_path / "base")
    report = convert_reference(checkpoint(side), str(tmp_path / "base"), tmp_path / "out")
    assert (report.patches[0].tensors, report.patches[0].unused, report.lora_tensors) == (26, 4, 28)
    model = PaveModel.from_pretrained(tmp_path / "out", base=tmp_path / "base")
    PeftModel.from_pretrained(PaveModel.from_base(tmp_path / "base").base, tmp_path / "out" / "lora")
    state = torch.load(checkpoint(side) / PATCH_FILE, weights_only=True)
    wanted = patch_from_state(state).state_dict()
    found = model.patches[report.patches[0].channel].state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
