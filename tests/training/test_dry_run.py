"""A dry run goes the way of training, leaves nothing, and its count of memory is what allocators measure."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import convert_to_fp32
from transformers import AutoModelForImageTextToText

from pave.bases.padding import right_padding_unmasked
from pave.bases.sizes import configuration_of
from pave.config import BaseRecord, LoraSpec, PatchConfig, Preprocessing
from pave.cost import meta_model
from pave.cost.training import count_step
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.media.video import Frames
from pave.model import PaveModel
from pave.training.config import PatchTask, Source, TrainConfig
from pave.training.dry_run import dry_run, rehearse
from pave.training.dry_run_base import stand_in_processor, tiny_config
from pave.training.peak import measured_peak
from pave.training.train import train
from pave.types import SideChannel
from tests.cli.calls import refused, result
from tests.tiny import base_folder
from tests.training.test_train import make_config

PATCH = PatchConfig("audio", 64, hidden_dim=64)
LORA = LoraSpec(r=16, alpha=16, dropout=0.05)
FRAMES, ROWS, WIDTH = 8, 3, 192


def size(family: str) -> Any:
    """A base that is small, but whose activations, weights and logits all matter."""
    text: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": 512, "num_hidden_layers": 4, "vocab_size": 1000}
    if family != "llava_onevision":
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 8, 8]}
        text |= {"head_dim": 48, "rope_parameters": rope}
    return tiny_config(family, **text)


def make_model(family: str, precision: torch.dtype) -> PaveModel:
    config = size(family)
    record = BaseRecord("small", family, WIDTH, config.vision_config.hidden_size)
    model = PaveModel(AutoModelForImageTextToText.from_config(config).to(precision), record)
    model.add_patch("audio", PATCH, LORA)
    return model


def make_batch(model: PaveModel) -> dict[str, Any]:
    processor = PaveProcessor(stand_in_processor(model.base.config, tiny=True), model.family, model.layout, FRAMES)
    video = processor.prepare_video(Frames(np.zeros((FRAMES, 90, 160, 3), np.uint8), np.arange(FRAMES) * 1.0))
    side = {"audio": SideChannel(torch.randn(20, 4, 64), torch.arange(20.0))}
    rows = []
    for words in range(20, 20 - ROWS, -1):
        messages = [{"role": "user", "content": "what is it? " * words}, {"role": "assistant", "content": "a bell"}]
        rows.append(processor.features(processor.tokenise(messages, True, answer=True), video, side))
    return processor.collator("right", ["audio"])(rows)


def measure(model: PaveModel, batch: dict[str, Any], precision: torch.dtype, checkpointing: bool, passes: int) -> int:
    """Bytes that two real steps hold at their peak, weights included."""
    model.train(True)
    if checkpointing:
        model.activation_checkpointing_enable()
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], 1e-3)
    held = sum(weight.numel() * weight.element_size() for weight in (*model.parameters(), *model.buffers()))
    with measured_peak(torch.device("cpu")) as peak:
        # As the trainer, which fetches the batches of a whole step, and its loader the next one.
        fetched = [copy.deepcopy(batch) for _ in range(passes + 1)]
        for number in range(2 * passes):
            inputs = dict(fetched[number % passes])
            narrow = torch.autocast("cpu", precision, enabled=precision != torch.float32)
            with narrow, right_padding_unmasked(model.language_model):
                output = model(**inputs)
            loss = (output if precision == torch.float32 else convert_to_fp32(output))["loss"]
            del output
            loss.backward()
            del loss, inputs
            if (number + 1) % passes == 0:
                optimiser.step()
                optimiser.zero_grad()
    return held + peak.extra


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("family", "precision", "passes"),
    [
        ("llava_onevision", torch.bfloat16, 2),
        pytest.param("llava_onevision", torch.float32, 1, marks=pytest.mark.slow),
        pytest.param("qwen2_5_vl", torch.bfloat16, 1, marks=pytest.mark.slow),
        ("qwen3_vl", torch.float32, 1),
    ],
)
def test_counted_memory_is_within_15_percent_of_the_measured(
    family: str, precision: torch.dtype, passes: int, checkpointing: bool
) -> None:
    model = make_model(family, precision)
    batch = make_batch(model)
    weightless = meta_model(size(family))
    weightless.base.to(precision)
    with torch.device("meta"):
        weightless.add_patch("audio", PATCH, LORA)
    cost = count_step(weightless, batch, precision, checkpointing, passes, on_accelerator=False)
    measured = measure(model, batch, precision, checkpointing, passes)
    assert cost.activations > 2 * sum(cost.weights.values())
    assert cost.total == pytest.approx(measured, rel=0.15)


def test_parts_of_a_step_are_counted_exactly() -> None:
    model = make_model("llava_onevision", torch.bfloat16)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    buffers = sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point())
    frozen = buffers + sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)
    batch = make_batch(model)
    held = count_step(copy.deepcopy(model), batch, torch.bfloat16, passes=2, on_accelerator=False)
    assert held.weights["bfloat16"] == 2 * frozen and held.weights["float32"] == 4 * trained
    assert held.optimiser == 8 * trained and held.gradients == held.trained == 4 * trained
    # Dropout keeps a byte for each number there, and a float here.
    there = count_step(copy.deepcopy(model), batch, torch.bfloat16)
    # Two passes and, on a CPU, the first pass of the next step.
    assert held.batches == 3 * there.batches > 0
    assert there.gradients < held.gradients and there.flops == held.flops
    assert there.activations < 0.95 * held.activations
    again = count_step(model, batch, torch.bfloat16, gradient_checkpointing=True)
    assert again.activations < there.activations / 2 and again.flops > there.flops


def test_takes_the_steps_of_training(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=2, log_every=1)
    found = dry_run(config)
    assert not config.out.exists() and sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert found.steps == 2 and not found.stand_in and found.flops_per_sec is None
    assert found.rehearsal.counted.total == pytest.approx(found.rehearsal.measured, rel=0.15)
    assert found.seconds == pytest.approx(2 * found.rehearsal.seconds)
    assert train(config).loss == found.rehearsal.losses[-1]


def test_counts_the_steps_of_the_whole_run(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=None, epochs=7, batch_size=1, lora=None)
    found = rehearse(config)
    assert found.steps == 35 and len(found.losses) == 2


def test_stand_ins_need_neither_base_nor_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    config = make_config(tmp_path / "elsewhere")
    encoder = {"type": "imagebind", "weights": "nowhere.pth"}
    absent = replace(
        config,
        base="Qwen/Qwen3-VL-2B-Instruct",
        data=(Source(Path("nowhere")),),
        preprocessing=replace(config.preprocessing, encoder=encoder),
    )
    assert len(rehearse(absent, tiny=True).losses) == 2
    with pytest.raises(InputError, match="nowhere"):
        rehearse(absent)
    with pytest.raises(InputError, match="family 'gemma4' has no tiny stand-in"):
        rehearse(replace(absent, base="google/gemma-4-E2B-it"), tiny=True)


def several(folder: Path) -> TrainConfig:
    """A run of two patches that are trained together."""
    tasks = {
        "hear": PatchTask(PatchConfig("audio", 256, hidden_dim=64), {"type": "log_mel"}),
        "shape": PatchTask(PatchConfig("depth", 40, hidden_dim=64), {"type": "depth", "frames": 4, "grid": (2, 2)}),
    }
    return replace(
        make_config(folder),
        base="llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        preprocessing=Preprocessing(frames=4),
        patch=None,
        patches=tasks,
        lora=LORA,
    )


def test_stand_ins_for_several_patches(tmp_path: Path) -> None:
    found = rehearse(several(tmp_path), tiny=True)
    assert len(found.losses) == 2 and all(loss > 0 for loss in found.losses)
    assert {name: len(entries) for name, entries in found.batch["side"].items()} == {"audio": 2, "depth": 2}
    assert all(entry is not None for entries in found.batch["side"].values() for entry in entries)


def test_what_reading_media_takes_is_not_measured(tmp_path: Path) -> None:
    config = replace(several(tmp_path), patches=None, preprocessing=Preprocessing(frames=32), gradient_accumulation=2)
    found = rehearse(replace(config, gradient_checkpointing=True), tiny=True)
    assert found.counted.batches > found.counted.activations / 2
    assert found.counted.total == pytest.approx(found.measured, rel=0.15)


@pytest.mark.slow
def test_several_patches_are_counted_with_the_lora_that_they_share(tmp_path: Path) -> None:
    config = several(tmp_path)
    found = dry_run(config, tiny=True, flops_per_sec=1e12)
    assert found.rehearsal.counted.total == pytest.approx(found.rehearsal.measured, rel=0.15)
    model = meta_model(configuration_of(config.base))
    with torch.device("meta"):
        for name, task in config.readers.items():
            model.add_patch(name, task.patch, LORA if name == "hear" else None)
    assert found.kept.trained == 4 * sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def write_config(folder: Path) -> Path:
    make_config(folder)
    content = {
        "base": str(base_folder("llava_onevision")),
        "out": str(folder / "out"),
        "data": [{"path": str(folder / "set")}],
        "preprocessing": {"frames": 4, "encoder": {"type": "precomputed", "width": 6}},
        "patch": {"channel": "audio", "side_dim": 6, "hidden_dim": 16, "heads": 2},
        "precision": "fp32",
        "epochs": 2,
        "batch_size": 2,
        "gradient_accumulation": 4,
        "workers": 0,
    }
    path = folder / "run.yaml"
    path.write_text(json.dumps(content))
    return path


def test_command_prints_what_a_run_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    found = result("train", capsys, path, "--dry-run", "--flops-per-sec", "1e9")
    memory = found["memory"]
    parts = sum(memory["weights"].values()) + sum(memory[name] for name in ("optimiser", "gradients", "activations"))
    assert memory["total"] >= parts and memory["total"] == memory["total_with_checkpointing"]
    assert found["flops_per_sec"] == 1e9 and found["seconds_a_step"] == pytest.approx(found["flops_a_step"] / 1e9)
    assert (found["steps"], found["passes"], found["batch_size"]) == (2, 4, 2)
    assert not (tmp_path / "out").exists()


def test_command_refuses_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    assert "--flops-per-sec is for --dry-run" in refused("train", capsys, path, "--flops-per-sec", "1e9")
    assert "--flops-per-sec is 'fast'" in refused("train", capsys, path, "--dry-run", "--flops-per-sec", "fast")
    assert "--dry-run is 'small'" in refused("train", capsys, path, "--dry-run=small")
