"""PaveProcessor against the base's own processor: the same inputs, with answers marked and layouts fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.video_utils import VideoMetadata

from pave.data.processor import PaveProcessor, _metadata
from pave.errors import InputError
from pave.media.video import Frames
from pave.model import PaveModel
from tests.tiny import FAMILIES, LORA, PATCH, PREPROCESSING, VIDEO, base_folder, patched, side_channel, write_video

QUESTION = [{"role": "user", "content": "what made the sound ?"}]
ANSWERED = [*QUESTION, {"role": "assistant", "content": "red cube"}]


def frames(count: int = 4, height: int = 64, width: int = 64, step_sec: float = 0.5) -> Frames:
    pixels = np.random.default_rng(count).integers(0, 255, (count, height, width, 3), dtype=np.uint8)
    return Frames(pixels, (np.arange(count) + 0.5) * step_sec)


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> PaveModel:
    return PaveModel.from_base(base_folder(request.param))


def test_inputs_are_the_base_processors(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=4)
    conversation = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION[0]["content"]}]}]
    text = processor.base_processor.apply_chat_template(conversation, add_generation_prompt=True)
    metadata = VideoMetadata(total_num_frames=2000, fps=1000, frames_indices=[250, 750, 1250, 1750])
    expected = processor.base_processor(
        text=[text],
        videos=[frames().pixels],
        videos_kwargs={"do_sample_frames": False, "video_metadata": [metadata]},
        return_tensors="pt",
    )
    found = processor(QUESTION, frames())
    tensors = {name for name, value in expected.items() if isinstance(value, torch.Tensor)}
    assert tensors == set(found) - {"side", "video_times_sec"}
    assert all(torch.equal(found[name], expected[name]) for name in tensors)


def test_stock_model_takes_them(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=4)
    inputs = processor("what made the sound ?", frames())
    stock = {name: value for name, value in inputs.items() if name not in ("side", "video_times_sec")}
    settings = {"max_new_tokens": 3, "do_sample": False}
    assert torch.equal(model.generate(**inputs, **settings), model.base.generate(**stock, **settings))


def test_labels_are_the_answer_alone(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=4)
    turns = processor.tokenise(ANSWERED, video=True, answer=True)
    tokens = processor.features(turns, processor.prepare_video(frames())).tokens
    labels = tokens["labels"]
    assert torch.equal(labels[labels != -100], tokens["input_ids"][labels != -100])
    assert processor.base_processor.tokenizer.decode(labels[labels != -100]) == "red cube<|im_end|>"
    assert len({len(values) for values in tokens.values()}) == 1
    assert "labels" not in processor.features(processor.tokenise(ANSWERED, True, answer=False)).tokens


def test_step_times_are_true(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=6)
    video = processor.prepare_video(frames(6, step_sec=0.25))
    assert video.times_sec.tolist() == [0.125, 0.375, 0.625, 0.875, 1.125, 1.375]
    if "second_per_grid_ts" in video.inputs:
        assert video.inputs["second_per_grid_ts"].tolist() == [0.5]


@pytest.mark.parametrize("times_sec", [[0.5], [0.0], [0.0, 0.0], [1.0, 1.033, 1.2, 7.75]])
def test_metadata_states_the_frames_times(times_sec: list[float]) -> None:
    pixels = np.zeros((len(times_sec), 8, 8, 3), dtype=np.uint8)
    metadata = _metadata(Frames(pixels, np.array(times_sec)))
    assert metadata.timestamps == pytest.approx(times_sec, abs=1e-3)
    assert np.isfinite(metadata.sampled_fps) and metadata.sampled_fps > 0


def test_text_only_has_no_video(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=4)
    inputs = processor(QUESTION)
    assert VIDEO not in inputs["input_ids"]
    assert set(inputs) == {"input_ids", "attention_mask"}
    assert model.generate(**inputs, max_new_tokens=2, do_sample=False).shape[0] == 1


def test_placeholder_in_the_text_is_refused(model: PaveModel) -> None:
    processor = PaveProcessor.from_model(model, frames=4)
    token = processor.base_processor.tokenizer.convert_ids_to_tokens(VIDEO)
    with pytest.raises(InputError, match="holds the base's video placeholder"):
        processor(f"what {token} ?", frames())
    with pytest.raises(InputError, match="holds the base's video placeholder"):
        processor(f"what {token} ?")


def test_grid_layout_fits_its_model(tmp_path: Path) -> None:
    model = PaveModel.from_base(base_folder("llava_onevision"))
    model.add_patch("audio", replace(PATCH, layout="grid"), LORA, PREPROCESSING)
    processor = PaveProcessor.from_model(model)
    inputs = processor(QUESTION, write_video(tmp_path / "clip.mp4"), {"audio": side_channel(0)})
    assert int((inputs["input_ids"] == VIDEO).sum()) == 4 * 2 * 3
    assert inputs["attention_mask"].shape == inputs["input_ids"].shape
    assert model(**inputs).logits.isfinite().all()


def test_batch_answers_as_its_members_do(model: PaveModel) -> None:
    model = patched(model.record.model_type)
    processor = PaveProcessor.from_model(model)
    prepared = [processor.prepare_video(frames(4)), processor.prepare_video(frames(4, 80, 64)), None]
    texts = ["what made the sound ?", "which colour is the ball on the left ?", "yes ?"]
    sides = [{"audio": side_channel(1)}, {"audio": None}, {}]
    features = []
    for text, video, side in zip(texts, prepared, sides, strict=True):
        turns = processor.tokenise([{"role": "user", "content": text}], video is not None, answer=False)
        features.append(processor.features(turns, video, side))
    collate = processor.collator("left", ["audio"])
    settings = {"max_new_tokens": 4, "do_sample": False}

    def answers(members: list) -> list[str]:
        batch = collate(members)
        return processor.decode(model.generate(**batch, **settings), batch["input_ids"].shape[1])

    assert answers(features) == [answers([member])[0] for member in features]


def test_what_is_not_known_is_asked_for(tmp_path: Path) -> None:
    model = PaveModel.from_base(base_folder("llava_onevision"))
    with pytest.raises(InputError, match="nothing says how many frames"):
        PaveProcessor.from_model(model)
    model.record = type(model.record)(str(tmp_path), "llava_onevision", 32, 16)
    with pytest.raises(InputError, match="holds no processor"):
        PaveProcessor.from_model(model, frames=4)


def test_processor_of_another_base_is_refused() -> None:
    processor = PaveProcessor.from_model(PaveModel.from_base(base_folder("llava_onevision")), frames=4)
    processor.base_processor.num_image_tokens = 64
    with pytest.raises(InputError, match="wrote 65 placeholders for a video of 17 tokens"):
        processor.prepare_video(frames())
