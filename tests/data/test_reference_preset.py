"""The preset 'reference' from files to model inputs, in training and in asking."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pave.checkpoint import read_preprocessing, read_spec
from pave.convert.base import convert_base
from pave.data.cache import MediaCache, fill_cache
from pave.data.collator import IGNORED
from pave.data.dataset import SampleDataset
from pave.data.features import Turns
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.reference_chat import ReferenceChat
from pave.data.side import SideReader
from pave.errors import InputError
from pave.media.reference_frames import sample_reference_frames
from pave.media.video import Frames
from pave.model import PaveModel
from pave.training.config import Source, TrainConfig
from pave.training.train import train
from tests.convert.golden import BASE, GOLDEN, meta, outputs
from tests.tiny import LORA, PATCH, PREPROCESSING, VIDEO, base_folder, make_processor, patched, write_data, write_video

REFERENCE = replace(PREPROCESSING, preset="reference")
GRID = replace(PATCH, layout="grid")
QUESTION = [{"role": "user", "content": "what made the sound ?"}]
ANSWERED = [*QUESTION, {"role": "assistant", "content": "red cube"}]


def model_of(preset: str = "reference") -> PaveModel:
    model = PaveModel.from_base(base_folder("llava_onevision"))
    model.add_patch("audio", GRID, LORA, replace(PREPROCESSING, preset=preset))
    return model


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("films") / "film.mp4", seed=3, frames=11, height=48, width=96)


def test_frames_are_squashed_and_normalised(film: Path) -> None:
    processor = PaveProcessor.from_model(model_of())
    pixels = sample_reference_frames(film, 4).pixels
    squashed = [Image.fromarray(frame).resize((56, 56), Image.Resampling.BICUBIC) for frame in pixels]
    expected = (np.stack([np.asarray(frame) for frame in squashed]) / 255 - 0.5) / 0.5
    prepared = processor.read_video(film)
    found = prepared.inputs["pixel_values_videos"][0].permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(prepared.times_sec, np.array([0, 3, 6, 10]) / 6, atol=1e-3)


def test_tokens_are_the_references_with_a_newline_a_row(film: Path) -> None:
    processor = PaveProcessor.from_model(model_of())
    chat = ReferenceChat(make_processor("llava_onevision"), VIDEO)
    turns = processor.tokenise(ANSWERED, video=True, answer=True)
    assert torch.equal(turns.ids, chat.answered(ANSWERED, video=True).ids)
    tokens = processor.features(turns, processor.read_video(film)).tokens
    place = turns.ids.tolist().index(VIDEO)
    count = 4 * 2 * (2 + 1)
    before, after = turns.ids[:place].tolist(), turns.ids[place + 1 :].tolist()
    assert tokens["input_ids"].tolist() == [*before, *[VIDEO] * count, *after]
    learnt = [token if mark else IGNORED for token, mark in zip(turns.ids, turns.answer, strict=True)]
    assert tokens["labels"].tolist() == [*learnt[:place], *[IGNORED] * count, *learnt[place + 1 :]]
    asked = processor(QUESTION, film)
    assert asked["input_ids"][0].tolist() == tokens["input_ids"].tolist()[: asked["input_ids"].shape[1]]
    assert processor(QUESTION)["input_ids"][0].tolist() == chat.prompt(QUESTION, video=False).ids.tolist()


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")
def test_ids_labels_and_padding_are_the_goldens(tmp_path: Path) -> None:
    facts, stored, wanted = meta(), load_file(GOLDEN / "inputs.safetensors"), outputs("base", "grid.")
    tower = facts["vision_siglip"]
    convert_base(BASE, tmp_path / "base", vision_heads=tower["num_attention_heads"], image_size=tower["image_size"])
    model = PaveModel.from_base(tmp_path / "base")
    model.add_patch("audio", replace(PATCH, layout="grid"), None, replace(REFERENCE, frames=facts["frames"]))
    processor = PaveProcessor.from_model(model)
    pixels = np.zeros((facts["frames"], 20, 30, 3), np.uint8)
    video = processor.prepare_video(Frames(pixels, np.arange(facts["frames"], dtype=float)))
    assert video.inputs["pixel_values_videos"].shape[1:] == stored["pixel_values_videos"].shape[1:]
    rows = []
    for ids, mask, labels in zip(stored["input_ids"], stored["attention_mask"], stored["labels"], strict=True):
        ids, labels = ids[mask.bool()], labels[mask.bool()]
        ids = torch.where(ids == facts["image_placeholder"], model.family.placeholder_id, ids)
        rows.append(processor.features(Turns(ids, labels != IGNORED), video))
    batch = processor.collator("right")(rows)
    assert torch.equal(batch["labels"], wanted["labels"])
    assert torch.equal(batch["attention_mask"], wanted["attention_mask"].to(batch["attention_mask"].dtype))
    words = batch["input_ids"] != model.family.placeholder_id
    real = stored["attention_mask"].bool() & (stored["input_ids"] != facts["image_placeholder"])
    attended = words & batch["attention_mask"].bool()
    assert batch["input_ids"][attended].tolist() == stored["input_ids"][real].tolist()


def test_the_preset_comes_from_the_patches(film: Path) -> None:
    assert PaveProcessor.from_model(model_of()).preset == "reference"
    assert PaveProcessor.from_model(model_of("pave")).preset == "pave"
    assert PaveProcessor.from_model(model_of("pave"), preset="reference").preset == "reference"
    assert PaveProcessor.from_model(PaveModel.from_base(base_folder("llava_onevision")), frames=4).preset == "pave"
    mixed = model_of()
    mixed.add_patch("control", None, LORA, PREPROCESSING)
    with pytest.raises(InputError, match="different presets .audio 'reference', control 'pave'."):
        PaveProcessor.from_model(mixed)


def test_other_bases_are_refused() -> None:
    model = patched("qwen2_5_vl")
    with pytest.raises(InputError, match="preset 'reference' is for LLaVA-OneVision bases"):
        PaveProcessor.from_model(model, preset="reference")
    with pytest.raises(InputError, match="preset is 'referense'; choose from 'pave', 'reference'; did you mean"):
        replace(PREPROCESSING, preset="referense")


def test_training_learns_the_references_labels(tmp_path: Path) -> None:
    write_data(tmp_path / "set", count=4)
    losses = {}
    for preset in ("pave", "reference"):
        config = TrainConfig(
            base=str(base_folder("llava_onevision")),
            out=tmp_path / preset,
            data=(Source(tmp_path / "set"),),
            preprocessing=replace(PREPROCESSING, preset=preset),
            patch=GRID,
            lora=LORA,
            steps=1,
            batch_size=4,
            gradient_accumulation=1,
            precision="fp32",
            gradient_checkpointing=False,
            workers=0,
        )
        train(config)
        assert read_preprocessing(config.out).preset == preset
        losses[preset] = read_spec(config.out).training["loss_first"]
        assert losses[preset] == pytest.approx(_loss(tmp_path / "set", preset), rel=1e-5)
    assert losses["pave"] != pytest.approx(losses["reference"], rel=1e-3)


def _loss(data: Path, preset: str) -> float:
    """Mean loss over all learnt tokens that have a predecessor, from the data set's own inputs."""
    model = model_of(preset)
    processor = PaveProcessor.from_model(model)
    dataset = SampleDataset(read_samples(data), processor, SideReader.from_model(model), answer=True)
    batch = processor.collator("right", ["audio"])([dataset[index] for index in range(len(dataset))])
    with torch.no_grad():
        return float(model(**batch).loss)


def test_a_cache_of_another_preset_is_refused(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=1, videos=1))
    cache = MediaCache()
    for preset in ("pave", "reference"):
        model = model_of(preset)
        arguments = (model, PaveProcessor.from_model(model), SideReader.from_model(model), samples, 1, 1.0)
        if preset == "pave":
            fill_cache(cache, *arguments)
        else:
            with pytest.raises(InputError, match="the cache was made with preset pave, not reference"):
                fill_cache(cache, *arguments)


def test_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    scene = tmp_path / "scene0001_00"
    scene.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 48), (number * 60, 0, 0)).save(scene / f"{number}.jpg")
    line = {"id": "a", "video": "scene0001_00", "messages": ANSWERED}
    (tmp_path / "samples.jsonl").write_text(json.dumps(line))
    (sample,) = read_samples(tmp_path / "samples.jsonl")
    prepared = PaveProcessor.from_model(model_of()).read_video(sample.video)
    assert prepared.times_sec.tolist() == [0, 1, 2, 3]
    red = prepared.inputs["pixel_values_videos"][0, :, 0].mean(dim=(1, 2))
    assert (red.diff() > 0.3).all()
    with pytest.raises(InputError, match="a folder, not a file"):
        PaveProcessor.from_model(model_of("pave")).read_video(sample.video)
