"""A run of the reference goes on: its base, its patch, its annotations and its features, in its prompts and labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pave import PaveModel
from pave.config import Preprocessing
from pave.convert.annotations import convert_annotations
from pave.convert.base import convert_base
from pave.convert.reference import convert_reference
from pave.training.config import Source, TrainConfig
from pave.training.train import train
from tests.convert.golden import BASE, GOLDEN, checkpoint, meta, outputs
from tests.tiny import write_video

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")


def test_a_released_patch_is_trained_further(tmp_path: Path) -> None:
    tower = meta()["vision_siglip"]
    convert_base(BASE, tmp_path / "base", vision_heads=tower["num_attention_heads"], image_size=tower["image_size"])
    convert_reference(checkpoint("audio"), str(tmp_path / "base"), tmp_path / "patch")
    config = TrainConfig(
        base=str(tmp_path / "base"),
        out=tmp_path / "further",
        data=(Source(annotated(tmp_path)),),
        start=str(tmp_path / "patch"),
        preprocessing=Preprocessing(4, {"type": "precomputed", "recipe": "audio"}, "reference"),
        steps=2,
        batch_size=2,
        gradient_accumulation=1,
        patch_lr=1e-3,
        lora_lr=1e-3,
        precision="fp32",
        gradient_checkpointing=False,
        workers=0,
        log_every=1,
    )
    assert train(config).steps == 2
    before, after = (PaveModel.from_pretrained(folder) for folder in (tmp_path / "patch", config.out))
    assert before.specs["audio"].patch == after.specs["audio"].patch
    assert before.specs["audio"].lora == after.specs["audio"].lora
    assert after.preprocessing["audio"] == config.preprocessing
    changed = {
        name
        for name, weight in before.patches["audio"].state_dict().items()
        if not torch.equal(weight, after.patches["audio"].state_dict()[name])
    }
    assert "norm.weight" in changed and len(changed) > len(before.patches["audio"].state_dict()) / 2
    pairs = zip(before.lora.parameters("audio"), after.lora.parameters("audio"), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)


def annotated(folder: Path) -> Path:
    """Two films with features, annotated and mapped as the reference has it, and converted."""
    values = outputs("audio")["video_feats"][..., 0, 0].transpose(1, 2).bfloat16()
    entries = []
    for index, name in enumerate(("AAAAA", "BBBBB")):
        write_video(folder / f"{name}.mp4", seed=index)
        torch.save(values[index].clone(), folder / f"{name}.pt")
        turns = [{"from": "human", "value": "<image>\nWhat is he holding?"}, {"from": "gpt", "value": "a mug"}]
        entries.append({"id": f"q-{index}", "video": f"{name}.mp4", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(entries))
    for kind, suffix in (("videos", "mp4"), ("features", "pt")):
        mapping = {name: f"{name}.{suffix}" for name in ("AAAAA", "BBBBB")}
        (folder / f"{kind}.json").write_text(json.dumps(mapping))
    report = convert_annotations(
        folder / "train.json",
        folder / "videos.json",
        folder / "train.jsonl",
        feature_mapping=folder / "features.json",
    )
    assert (report.written, report.dropped) == (2, {})
    return report.samples
