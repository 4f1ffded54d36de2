"""The patch folder: what goes out comes back, and anything odd in it is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from pave import InputError, LoraSpec, PaveModel, Preprocessing
from pave.checkpoint import read_preprocessing, read_spec
from tests.batches import logits, make_batch, patch_config, patched, randomize
from tests.hub import fake_hub, record_base
from tests.tiny import FAMILIES, make_model

PREPROCESSING = Preprocessing(frames=3, encoder={"type": "log_mel"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patches") / "audio"
    model = PaveModel.from_base(make_model("llava_onevision"))
    model.add_patch("audio", patch_config(), LoraSpec(r=4), PREPROCESSING)
    randomize(model, "audio")
    model.save_patch("audio", folder, training={"seed": 7})
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of the saved patch, to be spoiled."""
    folder = tmp_path / "audio"
    for path in saved.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(saved)).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.relative_to(saved)).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip(family: str, tmp_path: Path) -> None:
    batch, model = make_batch(family), patched(make_model(family))
    wanted = logits(model, batch.inputs, **batch.extras)
    model.save_patch("audio", tmp_path / "audio")
    again = PaveModel.from_pretrained(tmp_path / "audio", base=make_model(family))
    assert torch.equal(logits(again, batch.inputs, **batch.extras), wanted)
    assert again.specs == model.specs
    assert not any(weight.requires_grad for weight in again.parameters())


def test_what_is_in_the_folder(saved: Path) -> None:
    files = sorted(str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file())
    assert files == [
        "README.md",
        "lora/adapter_config.json",
        "lora/adapter_model.safetensors",
        "patch.safetensors",
        "patch_config.json",
        "preprocessing.json",
    ]
    spec = read_spec(saved)
    assert (spec.base.model_type, spec.base.token_dim, spec.base.vision_dim) == ("llava_onevision", 32, 16)
    assert spec.training == {"seed": 7}
    assert read_preprocessing(saved) == PREPROCESSING
    assert not any(path.name.startswith(".") for path in saved.parent.iterdir())


def test_card_says_what_it_is(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: pave\n")
    assert "# A patch for the channel `audio`" in card and "| seed | `7` |" in card


def test_lora_loads_in_plain_peft(saved: Path) -> None:
    model = PaveModel.from_pretrained(saved, base=make_model("llava_onevision"))
    batch = make_batch("llava_onevision")
    with torch.no_grad():
        model.patches["audio"].norm.weight.zero_()
        model.patches["audio"].norm.bias.zero_()
    wanted = logits(model, batch.inputs, **batch.extras)
    plain = PeftModel.from_pretrained(make_model("llava_onevision"), saved / "lora")
    assert torch.equal(logits(plain, batch.inputs), wanted)


def test_lora_alone(tmp_path: Path) -> None:
    model = PaveModel.from_base(make_model("llava_onevision"))
    model.add_patch("lora_only", None, LoraSpec(r=2))
    randomize(model, "lora_only")
    model.save_patch("lora_only", tmp_path / "control")
    again = PaveModel.from_pretrained(tmp_path / "control", base=make_model("llava_onevision"))
    batch = make_batch("llava_onevision")
    assert list(again.specs) == ["lora_only"]
    assert torch.equal(logits(again, batch.inputs), logits(model, batch.inputs))


def test_saving_replaces_a_patch_and_nothing_else(saved: Path, tmp_path: Path) -> None:
    model = patched(make_model("llava_onevision"))
    model.save_patch("audio", tmp_path / "audio")
    model.save_patch("audio", tmp_path / "audio", training={"seed": 8})
    assert read_spec(tmp_path / "audio").training == {"seed": 8}
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(InputError, match="thesis: exists and is no patch folder"):
        model.save_patch("audio", tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_a_failed_save_leaves_the_old_patch(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = patched(make_model("llava_onevision"))
    model.save_patch("audio", tmp_path / "audio", training={"seed": 1})

    def fail(*arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pave.checkpoint.write_card", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save_patch("audio", tmp_path / "audio", training={"seed": 2})
    assert read_spec(tmp_path / "audio").training == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["audio"]


def test_a_patch_keeps_its_float_type(tmp_path: Path) -> None:
    model = patched(make_model("llava_onevision"))
    model.patches["audio"].to(torch.bfloat16)
    model.save_patch("audio", tmp_path / "audio")
    assert {value.dtype for value in load_file(tmp_path / "audio" / "patch.safetensors").values()} == {torch.bfloat16}
    again = PaveModel.from_pretrained(tmp_path / "audio", base=make_model("llava_onevision").bfloat16())
    assert {weight.dtype for weight in again.patches["audio"].parameters()} == {torch.bfloat16}


def test_a_narrow_patch_runs_as_wide_as_its_base_and_is_trained_in_full(tmp_path: Path) -> None:
    model = patched(make_model("llava_onevision"))
    model.patches["audio"].to(torch.bfloat16)
    model.save_patch("audio", tmp_path / "audio")
    wide = PaveModel.from_pretrained(tmp_path / "audio", base=make_model("llava_onevision"))
    trained = PaveModel.from_base(make_model("llava_onevision").bfloat16())
    trained.load_patch(tmp_path / "audio", trainable=True)
    for again in (wide, trained):
        for name, weight in again.patches["audio"].named_parameters():
            assert torch.equal(weight, model.patches["audio"].state_dict()[name].float())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["patch", "LoRA"])
def test_what_loading_would_refuse_is_not_saved(value: float, part: str, tmp_path: Path) -> None:
    model = patched(make_model("llava_onevision"))
    model.save_patch("audio", tmp_path / "old")
    weight = model.patches["audio"].norm.weight if part == "patch" else model.lora.named("audio")[LORA_KEY]
    with torch.no_grad():
        weight.view(-1)[0] = value
    name = "norm.weight" if part == "patch" else LORA_KEY
    for folder in ("old", "new"):
        with pytest.raises(InputError, match=f"patch 'audio': tensor '{name}' holds NaN or infinity") as caught:
            model.save_patch("audio", tmp_path / folder, training={"seed": 2})
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and read_spec(tmp_path / "old").training == {}
    model.replace_patch("audio", tmp_path / "old")
    model.save_patch("audio", tmp_path / "new")


@pytest.mark.parametrize(
    ("channel", "name"),
    [("thermal-camera", "thermal_camera"), ("3d", "_3d"), ("keys", "_keys"), ("ton höhe", "ton_höhe"), ("-", "__")],
)
def test_a_channel_that_is_no_name_gives_one(channel: str, name: str, tmp_path: Path) -> None:
    model, batch = PaveModel.from_base(make_model("llava_onevision")), make_batch("llava_onevision")
    model.add_patch("own", patch_config(channel=channel), LoraSpec(r=2))
    randomize(model, "own")
    model.save_patch("own", tmp_path / "patch")
    again = PaveModel.from_pretrained(tmp_path / "patch", base=make_model("llava_onevision"))
    assert list(again.specs) == [name]
    given = {"side": {channel: batch.side["audio"]}, "video_times_sec": batch.times}
    assert torch.equal(logits(again, batch.inputs, **given), logits(model, batch.inputs, **given))


def test_the_recorded_base_is_taken_at_its_revision(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_base(copy, "owner/base", "abc123")
    asked = fake_hub(monkeypatch, copy.parent / "hub")
    for options in ({}, {"revision": "main"}, {"base": "owner/other"}, {"base": "owner/other", "revision": "v2"}):
        assert list(PaveModel.from_pretrained(copy, **options).specs) == ["audio"]
    assert asked == [("owner/base", "abc123"), ("owner/base", "main"), ("owner/other", None), ("owner/other", "v2")]


def edit_json(file: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = json.loads((folder / file).read_text()) | changes
        (folder / file).write_text(json.dumps(data))

    return edit


def edit_tensors(file: str, change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tensors = load_file(folder / file)
        change(tensors)
        save_file(tensors, folder / file)

    return edit


def drop(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: [tensors.pop(name)] and None


def truncate(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-100]) and None


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def put(name: str, tensor: torch.Tensor) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({name: tensor})


PATCH, LORA = "patch.safetensors", "lora/adapter_model.safetensors"
LORA_KEY = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (edit_json("patch_config.json", format_version=2), "patch_config.json: format_version is 2.*upgrade pave"),
        (edit_json("patch_config.json", lra={}), "unknown key 'lra' in patch; did you mean 'lora'"),
        (remove("patch_config.json"), "holds no patch_config.json"),
        (lambda folder: (folder / "patch_config.json").write_text("{"), "patch_config.json: not valid JSON"),
        (remove(PATCH), "patch.safetensors: no such file; the folder is incomplete"),
        (truncate(PATCH), "patch.safetensors: damaged or truncated"),
        (edit_tensors(PATCH, drop("norm.weight")), "tensor 'norm.weight' is missing"),
        (edit_tensors(PATCH, put("norm.wait", torch.zeros(1))), "unexpected tensor 'norm.wait'; did you mean"),
        (edit_tensors(PATCH, put("norm.weight", torch.zeros(7))), r"'norm.weight' has shape \(7,\).*asks for \(32,\)"),
        (edit_tensors(PATCH, put("norm.weight", torch.full((32,), torch.nan))), "'norm.weight' holds NaN"),
        (remove(LORA), "adapter_model.safetensors: no such file"),
        (edit_tensors(LORA, drop(LORA_KEY)), f"tensor '{LORA_KEY}' is missing"),
        (edit_json("lora/adapter_config.json", r=8), "r is 8, but patch_config.json says 4"),
        (edit_json("preprocessing.json", frame=8), "unknown key 'frame' in preprocessing; did you mean 'frames'"),
    ],
)
def test_spoiled_folders_are_refused(copy: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(copy)
    model = PaveModel.from_base(make_model("llava_onevision"))
    with pytest.raises(InputError, match=message) as caught:
        model.load_patch(copy)
    assert "\n" not in str(caught.value)
    assert not model.specs and not model.patches and not model.lora.specs


def test_a_base_of_another_width_is_refused(copy: Path) -> None:
    data = json.loads((copy / "patch_config.json").read_text())
    data["base"]["token_dim"] = data["patch"]["token_dim"] = 896
    (copy / "patch_config.json").write_text(json.dumps(data))
    model = PaveModel.from_base(make_model("llava_onevision"))
    with pytest.raises(InputError, match=r"made for base '.*' of width 896, not for '.*' of width 32"):
        model.load_patch(copy)


def test_unknown_bases_and_patches(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown base 'blindspt'.*did you mean 'blindspot'"):
        PaveModel.from_base("blindspt")
    with pytest.raises(InputError, match="unknown patch 'nowhere/at/all'"):
        PaveModel.from_pretrained("nowhere/at/all")
    with pytest.raises(InputError, match="holds no config.json"):
        PaveModel.from_base(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="unknown base family 'bert'; known: .*llava_onevision, .*qwen2_5_vl, "):
        PaveModel.from_base(tmp_path)
    with pytest.raises(InputError, match="is a file; give its folder"):
        PaveModel.from_base(tmp_path / "config.json")


def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(InputError, match=r"the hub did not give it \(no route to host\)") as caught:
        PaveModel.from_base("someone/base")
    assert "\n" not in str(caught.value)
