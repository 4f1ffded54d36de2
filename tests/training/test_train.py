"""From a configuration to a patch folder: what is trained, what is not, and what is refused."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import pave.training.build as module
from pave import encoders
from pave.checkpoint import WEIGHTS_FILE, read_preprocessing, read_spec
from pave.config import LoraSpec, Preprocessing
from pave.data.side import SideReader
from pave.data.store import FeatureStore
from pave.errors import InputError
from pave.model import PaveModel
from pave.training.build import build_model, with_start
from pave.training.config import Source, TrainConfig
from pave.training.run import Run
from pave.training.train import train
from pave.training.trainer import PaveTrainer
from tests.encoders.published import save_imagebind
from tests.tiny import FAMILIES, LORA, PATCH, PREPROCESSING, base_folder, write_data


def make_config(folder: Path, family: str = "llava_onevision", **fields: Any) -> TrainConfig:
    data = folder / "set"
    if not data.exists():
        write_data(data, count=5)
    settings = {
        "patch": PATCH,
        "lora": LORA,
        "preprocessing": PREPROCESSING,
        "steps": 3,
        "batch_size": 2,
        "gradient_accumulation": 1,
        "patch_lr": 1e-2,
        "lora_lr": 1e-2,
        "precision": "fp32",
        "gradient_checkpointing": False,
        "workers": 0,
        "log_every": 1,
        **fields,
    }
    return TrainConfig(base=str(base_folder(family)), out=folder / "out", data=(Source(data),), **settings)


def hash_of(model: torch.nn.Module) -> str:
    """Hash of every weight of a base, LoRAs left out."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if ".lora_" not in name:
            digest.update(name.replace(".base_layer", "").encode() + value.numpy().tobytes())
    return digest.hexdigest()


def keep_model(monkeypatch: pytest.MonkeyPatch) -> list[PaveModel]:
    built: list[PaveModel] = []

    def build(config: TrainConfig) -> PaveModel:
        built.append(build_model(config))
        return built[0]

    monkeypatch.setattr(module, "build_model", build)
    return built


@pytest.mark.parametrize("family", FAMILIES)
def test_trains_the_patch_and_nothing_of_the_base(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path, family)
    fresh = build_model(config)
    built = keep_model(monkeypatch)
    result = train(config)
    assert (result.folder, result.steps, result.resumed_from) == (config.out, 3, None)
    assert hash_of(built[0].base) == hash_of(PaveModel.from_base(config.base).base)
    changed = built[0].patches["audio"].state_dict()
    assert not torch.equal(changed["norm.weight"], fresh.patches["audio"].state_dict()["norm.weight"])
    pairs = zip(built[0].lora.parameters("audio"), fresh.lora.parameters("audio"), strict=True)
    assert any(not torch.equal(after, before) for after, before in pairs)
    assert not any(weight.requires_grad for name, weight in built[0].base.named_parameters() if ".lora_" not in name)


def test_folder_holds_the_patch_and_its_facts(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    train(config)
    spec = read_spec(config.out)
    assert read_preprocessing(config.out) == PREPROCESSING
    assert spec.patch is not None and spec.patch.channel == "audio" and spec.lora == LORA
    facts = spec.training
    assert facts["steps"] == 3 and facts["configuration"]["seed"] == 0 and facts["samples_a_step"] == 2
    assert facts["data"][0]["samples"] == 5 and len(facts["data"][0]["sha256"]) == 64
    assert facts["loss_first"] > 0 and "torch" in facts["versions"]
    loaded = PaveModel.from_pretrained(config.out)
    assert facts["trained_weights"]["patch"] == sum(weight.numel() for weight in loaded.patches.parameters())
    assert not (tmp_path / "out.unfinished").exists()


def test_accumulated_parts_of_a_batch_are_one_step(tmp_path: Path) -> None:
    whole = make_config(tmp_path, lora=replace(LORA, dropout=0.0), batch_size=4)
    parts = replace(whole, batch_size=1, gradient_accumulation=4, out=tmp_path / "parts")
    train(whole), train(parts)
    expected, actual = (load_file(config.out / WEIGHTS_FILE) for config in (whole, parts))
    for name in ("norm.weight", "norm.bias"):
        assert expected[name].abs().min() > 0
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-3, atol=1e-6)


def test_a_source_that_would_never_be_drawn_from_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=3)
    late = replace(config, data=(*config.data, replace(config.data[0], from_step=3)))
    with pytest.raises(InputError, match="from_step is 3, but the run has 3 steps"):
        train(late)
    assert not config.out.exists()


def test_rates_stay_up_until_the_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    log = PaveTrainer.log

    def noting(self: PaveTrainer, logs: dict[str, float], *others: Any) -> None:
        rates.extend(logs[name] for name in ("learning_rate",) if name in logs)
        log(self, logs, *others)

    monkeypatch.setattr(PaveTrainer, "log", noting)
    fields = {"steps": 8, "patch_lr": 1e-2, "warmup": 0.25, "decay": 0.5, "log_every": 1}
    train(make_config(tmp_path, scheduler="warmup_stable_decay", **fields))
    assert rates == pytest.approx([0.0, 0.005, 0.01, 0.01, 0.01, 0.0075, 0.005, 0.0025])


def test_loss_falls(tmp_path: Path) -> None:
    train(make_config(tmp_path, steps=30, batch_size=5, cache_video_tokens=True))
    facts = read_spec(tmp_path / "out").training
    assert facts["loss_last"] < facts["loss_first"] / 2


def test_cached_and_uncached_runs_are_the_same(tmp_path: Path) -> None:
    config = make_config(tmp_path, batch_size=1)
    plain = train(config)
    cached = train(replace(config, out=tmp_path / "cached", cache_video_tokens=True))
    assert plain.loss == cached.loss


def test_gradient_checkpointing_changes_no_loss(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    plain = train(config)
    checkpointed = train(replace(config, out=tmp_path / "checkpointed", gradient_checkpointing=True))
    assert plain.loss == pytest.approx(checkpointed.loss, rel=1e-5)


def test_half_precision_keeps_trained_weights_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = keep_model(monkeypatch)
    train(make_config(tmp_path, precision="bf16"))
    assert built[0].dtype == torch.bfloat16
    assert {weight.dtype for weight in built[0].parameters() if weight.requires_grad} == {torch.float32}


def test_lora_alone_reads_no_channel(tmp_path: Path) -> None:
    config = make_config(tmp_path, patch=None, preprocessing=Preprocessing(4))
    train(config)
    assert read_spec(config.out).patch is None
    assert not (config.out / "patch.safetensors").exists()
    assert PaveModel.from_pretrained(config.out).load_patch(config.out, "again") == "again"


def test_patch_alone(tmp_path: Path) -> None:
    config = make_config(tmp_path, lora=None)
    train(config)
    assert read_spec(config.out).lora is None and not (config.out / "lora").exists()


def test_epochs_count_batches(tmp_path: Path) -> None:
    assert train(make_config(tmp_path, steps=None, epochs=1.5, batch_size=2)).steps == 4


def test_workers_read_the_same(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    with_workers = train(replace(config, out=tmp_path / "workers", workers=2))
    assert train(config).loss == with_workers.loss


def test_absent_channels_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(tmp_path)
    lines = [json.loads(text) for text in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    for line in lines[:3]:
        line["side"] = {"audio": None}
    (tmp_path / "set" / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with caplog.at_level(logging.INFO, "pave"):
        assert train(config).loss > 0
    assert "3 of 5 samples name no file for channel 'audio'" in caplog.text


def test_samples_that_lack_media_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(tmp_path)
    lines = [json.loads(text) for text in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line["missing"] = []
    for line in lines[:2]:
        line |= {"video": None, "side": {"audio": None}, "missing": ["clips/000000.mp4"]}
    (tmp_path / "set" / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with caplog.at_level(logging.INFO, "pave"):
        train(config)
    told = [record.getMessage() for record in caplog.records if "lack media" in record.getMessage()]
    assert len(told) == 1 and "2 of 5 samples lack media and are learnt without them" in told[0]


def without_videos(config: TrainConfig, count: int) -> None:
    file = config.data[0].path / "samples.jsonl"
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    for line in lines[:count]:
        line["video"] = None
    file.write_text("\n".join(map(json.dumps, lines)))


def test_channels_without_a_video_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(tmp_path)
    without_videos(config, 4)
    with caplog.at_level(logging.WARNING, "pave"):
        train(config)
    told = [record.getMessage() for record in caplog.records if "no video" in record.getMessage()]
    assert len(told) == 1 and "4 of 5 samples name side media but no video" in told[0]
    without_videos(config, 5)
    refused(replace(config, out=tmp_path / "more"), "no sample with a video names a file for channel 'audio'")


def test_seed_decides(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    one, same, other = (
        train(replace(config, out=tmp_path / name, seed=seed))
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one.loss == same.loss != other.loss


def refused(config: TrainConfig, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        train(config)
    assert "\n" not in str(error.value)
    assert not Run(config).folder.exists()


class BlownUp(TrainerCallback):
    """Sets the learning rates of one step to infinity."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        if state.global_step + 1 == self.step:
            for group in options["optimizer"].param_groups:
                group["lr"] = float("inf")


@pytest.mark.parametrize("weights", ["patch", "LoRA"])
def test_a_run_that_diverges_after_its_last_log_line_writes_no_patch(weights: str, tmp_path: Path) -> None:
    parts = {"lora": None} if weights == "patch" else {"patch": None, "preprocessing": Preprocessing(4)}
    config = make_config(tmp_path, steps=5, log_every=3, save_every=2, cache_video_tokens=True, **parts)
    with pytest.raises(FloatingPointError, match="weights are NaN or infinite at step 5; lower the learning rates"):
        train(config, callbacks=[BlownUp(5)])
    assert not config.out.exists()
    assert sorted(path.name for path in Run(config).folder.iterdir()) == ["checkpoint-2", "checkpoint-4", "run.json"]
    assert train(config).resumed_from == 4


def test_a_run_that_diverges_before_its_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=1)
    with pytest.raises(FloatingPointError, match="at step 1"):
        train(config, callbacks=[BlownUp(1)])
    assert not config.out.exists() and not Run(config).folder.exists()


def test_one_process_uses_one_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[int] = []
    loss = PaveTrainer.compute_loss

    def noting(trainer: PaveTrainer, model: Any, inputs: dict[str, Any], *others: Any, **options: Any) -> Any:
        assert not isinstance(model, torch.nn.DataParallel)
        sizes.append(len(inputs["input_ids"]))
        return loss(trainer, model, inputs, *others, **options)

    monkeypatch.setattr(PaveTrainer, "compute_loss", noting)
    # The arguments of the trainer then believe in two GPUs, though nothing is put on them.
    monkeypatch.setattr(PartialState, "default_device", property(lambda _: torch.device("cuda")))
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with caplog.at_level(logging.WARNING, "pave"):
        train(make_config(tmp_path))
    assert sizes == [2, 2, 2]
    told = [record.getMessage() for record in caplog.records if "GPUs" in record.getMessage()]
    assert len(told) == 1 and "one of 2 GPUs; start it with 'accelerate launch' or 'torchrun'" in told[0]


def test_an_encoder_on_a_gpu_is_refused_in_data_loading_processes(tmp_path: Path) -> None:
    weights = save_imagebind(tmp_path / "imagebind.safetensors")
    settings = {"type": "imagebind", "weights": str(weights), "heads": 4, "device": "cuda:0"}
    patch = replace(PATCH, side_dim=encoders.build(settings).width)
    config = make_config(tmp_path, patch=patch, preprocessing=Preprocessing(4, settings), workers=1)
    refused(config, "encoder of channel 'audio' runs on cuda:0, which data-loading processes cannot use; set workers")


def check_workers(encoder: dict[str, Any], device: str = "cpu", store: Any = None, **fields: Any) -> None:
    config = TrainConfig("base", Path("out"), (Source(Path("set")),), PREPROCESSING, PATCH, **{"workers": 1, **fields})
    module._check_workers(config, SideReader({"audio": encoders.build(encoder)}, store), torch.device(device))


def test_an_encoder_needs_a_gpu_only_where_it_runs(tmp_path: Path) -> None:
    weights = str(save_imagebind(tmp_path / "imagebind.safetensors"))
    heard = {"type": "imagebind", "weights": weights, "heads": 4, "device": "cuda"}
    with pytest.raises(InputError, match="runs on cuda, .* set workers: 0, .* a store, or the encoder's device: cpu"):
        check_workers(heard)
    check_workers(heard, workers=0)
    check_workers(heard, cache_video_tokens=True)
    check_workers(heard, store=FeatureStore(tmp_path / "store", "fp32"))
    check_workers({**heard, "device": "cpu"}, device="cuda")
    check_workers({"type": "depth", "vision": "none", "grid": [2, 2], "device": "cuda"}, device="cuda")
    seen = {"type": "views"}
    with pytest.raises(InputError, match="channel 'audio' is made by the base's tower on cuda, .* set workers: 0"):
        check_workers(seen, device="cuda")
    check_workers(seen)


def test_bad_input_leaves_nothing(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    wrong_width = replace(PATCH, side_dim=7)
    refused(
        replace(config, patch=wrong_width), "side_dim is 7, but the encoder of channel 'audio' makes .* of width 6"
    )
    refused(replace(config, base="nowhere"), "unknown base 'nowhere'")
    refused(replace(config, data=(Source(tmp_path / "none"),)), "none: no such file")
    refused(replace(config, cache_video_tokens=True, cache_limit_gb=1e-9), "would take about .* GB")
    refused(replace(config, patch=replace(PATCH, layout="grid", token_dim=5)), "token_dim is 5")
    assert not config.out.exists()


def test_broken_medium_leaves_nothing(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    (tmp_path / "set" / "clips" / "000000.mp4").write_bytes(b"no video")
    refused(config, "000000.mp4")
    refused(replace(config, workers=1), "000000.mp4")
    refused(replace(config, cache_video_tokens=True), "000000.mp4")


def test_question_without_an_answer_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    lines = [json.loads(text) for text in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    del lines[1]["messages"][1]
    (tmp_path / "set" / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    refused(config, "samples.jsonl:2: the conversation does not end with an answer")


def test_output_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config.out.mkdir()
    (config.out / "notes.txt").touch()
    refused(config, "out: exists and is not empty")
    assert [path.name for path in config.out.iterdir()] == ["notes.txt"]


def test_training_goes_on_from_a_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, steps=20, batch_size=5, cache_video_tokens=True)
    train(config)
    first = read_spec(config.out).training
    more = replace(config, start=str(config.out), out=tmp_path / "more", patch=None, steps=2, lora=LoraSpec(r=2))
    built = build_model(with_start(more))
    weights = PaveModel.from_pretrained(config.out).patches["audio"].state_dict()
    assert all(torch.equal(built.patches["audio"].state_dict()[name], value) for name, value in weights.items())
    half = build_model(with_start(replace(more, precision="bf16")))
    assert {weight.dtype for weight in half.parameters() if weight.requires_grad} == {torch.float32}
    train(more)
    spec = read_spec(more.out)
    assert (spec.patch, spec.lora) == (read_spec(config.out).patch, LORA)
    assert spec.training["configuration"]["start"] == str(config.out)
    assert spec.training["loss_first"] < first["loss_first"] / 2
    assert not torch.equal(
        PaveModel.from_pretrained(more.out).patches["audio"].state_dict()["norm.weight"], weights["norm.weight"]
    )


def test_a_start_that_is_another_patch_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=1)
    train(config)
    other = replace(config, start=str(config.out), out=tmp_path / "more", patch=replace(PATCH, layers=1))
    with pytest.raises(InputError, match="has a patch of its own; leave 'patch' out"):
        train(other)
    with pytest.raises(InputError, match="nowhere"):
        train(replace(other, start="nowhere"))
