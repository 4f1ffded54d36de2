"""Several patches trained together: one shared LoRA, a folder each, and only the channels that a sample has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pave.checkpoint import read_preprocessing, read_spec
from pave.config import Preprocessing, from_dict, to_dict
from pave.errors import InputError
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.run import run_evaluation
from pave.model import PaveModel
from pave.training.build import build_model
from pave.training.config import PatchTask, Source, TrainConfig
from pave.training.run import Run
from pave.training.train import train
from pave.training.trainer import PaveTrainer
from tests.tiny import ENCODER, FRAMES, LORA, PATCH, base_folder, write_data

CHANNELS = {"hear": "audio", "measure": "depth"}
LORA_FILE = "lora/adapter_model.safetensors"


def make_config(folder: Path, out: str = "out", **fields: Any) -> TrainConfig:
    """A run on two data sets: one names sound alone, the other sound and depth."""
    heard, measured = folder / "heard", folder / "measured"
    if not heard.exists():
        write_data(heard, count=4)
        file = write_data(measured, count=4) / "samples.jsonl"
        lines = [json.loads(text) for text in file.read_text().splitlines()]
        for line in lines:
            line["id"] = f"measured-{line['id']}"
            line["side"]["depth"] = line["side"]["audio"]
        file.write_text("\n".join(map(json.dumps, lines)))
    settings = {
        "patches": {name: PatchTask(replace(PATCH, channel=channel), ENCODER) for name, channel in CHANNELS.items()},
        "lora": LORA,
        "data": (Source(heard), Source(measured, channels=("depth",))),
        "preprocessing": Preprocessing(FRAMES),
        "steps": 6,
        "batch_size": 3,
        "gradient_accumulation": 1,
        "patch_lr": 1e-2,
        "lora_lr": 1e-2,
        "precision": "fp32",
        "gradient_checkpointing": False,
        "cache_video_tokens": True,
        "save_every": 2,
        "log_every": 1,
        **fields,
    }
    return TrainConfig(base=str(base_folder("llava_onevision")), out=folder / out, **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = make_config(tmp_path_factory.mktemp("together"))
    result = train(config)
    assert result.patches == (config.out / "hear", config.out / "measure")
    return config


def test_all_are_trained_and_written(trained: TrainConfig) -> None:
    fresh = build_model(trained)
    assert sorted(path.name for path in trained.out.iterdir()) == ["hear", "measure"]
    assert not Run(trained).folder.exists()
    for name, channel in CHANNELS.items():
        folder = trained.out / name
        spec = read_spec(folder)
        assert spec.patch is not None and spec.patch.channel == channel
        assert spec.lora == replace(LORA, shared=Run(trained).identity)
        assert read_preprocessing(folder) == Preprocessing(FRAMES, ENCODER)
        assert spec.training["trained_together"] == ["hear", "measure"]
        weights = load_file(folder / "patch.safetensors")
        assert spec.training["trained_weights"]["patch"] == sum(weight.numel() for weight in weights.values())
        before = fresh.patches[name].state_dict()
        assert not torch.equal(weights["norm.weight"], before["norm.weight"])
        assert (
            f"shares with every patch of the LoRA identity `{spec.lora.shared}`" in (folder / "README.md").read_text()
        )
    assert (trained.out / "hear" / LORA_FILE).read_bytes() == (trained.out / "measure" / LORA_FILE).read_bytes()


def test_they_load_together_and_one_by_one(trained: TrainConfig) -> None:
    model = PaveModel.from_pretrained(trained.out / "measure")
    model.load_patch(trained.out / "hear")
    assert model.lora.sharers("audio") == ["depth"]
    alone = PaveModel.from_pretrained(trained.out / "hear")
    assert alone.lora.sharers("audio") == []


def test_several_are_asked_at_once(trained: TrainConfig, tmp_path: Path) -> None:
    apart = train(make_config(tmp_path, steps=1, patches={"measure": trained.patches["measure"]})).patches[0]
    data = tuple(source.path for source in trained.data)
    for patches in ([trained.out / "hear", trained.out / "measure"], [trained.out / "hear", apart]):
        config = EvalConfig(data, patches=tuple(map(str, patches)), settings=EvalSettings(4, 2))
        result = run_evaluation(config)
        assert result is not None and result.patches == ["audio", "depth"]
        absent = [response.absent for response in result.responses]
        assert absent == [("depth",)] * 4 + [()] * 4


def test_only_the_channels_of_a_source_are_read(trained: TrainConfig, tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[tuple[bool, bool]] = []
    loss = PaveTrainer.compute_loss

    def noting(trainer: PaveTrainer, model: Any, inputs: dict[str, Any], *others: Any, **options: Any) -> Any:
        pairs = zip(inputs["side"]["audio"], inputs["side"]["depth"], strict=True)
        seen.extend((sound is not None, depth is not None) for sound, depth in pairs)
        return loss(trainer, model, inputs, *others, **options)

    monkeypatch.setattr(PaveTrainer, "compute_loss", noting)
    train(replace(trained, out=tmp_path / "out"))
    assert set(seen) == {(True, False), (False, True)}


def test_interrupted_run_resumes_exactly(trained: TrainConfig, tmp_path: Path, monkeypatch: Any) -> None:
    config = replace(trained, out=tmp_path / "again")
    save = PaveTrainer._save_checkpoint

    def stop(trainer: PaveTrainer, *arguments: Any) -> None:
        save(trainer, *arguments)
        if trainer.state.global_step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PaveTrainer, "_save_checkpoint", stop)
        train(config)
    assert not config.out.exists()
    assert train(config).resumed_from == 4
    for name in CHANNELS:
        for file in ("patch.safetensors", LORA_FILE):
            unbroken, resumed = (load_file(run.out / name / file) for run in (trained, config))
            assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())


def test_a_channel_that_no_sample_has_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    with pytest.raises(InputError, match="no sample with a video names a file for channel 'depth'"):
        train(replace(config, data=config.data[:1]))
    assert not config.out.exists()


def test_config_survives_the_round_trip(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    assert from_dict(TrainConfig, to_dict(config)) == config
