"""A released patch, from its zip to an answer, by three commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pave import PaveModel, SideChannel
from pave.cli import main
from pave.data.processor import PaveProcessor
from tests.convert.golden import BASE, GOLDEN, checkpoint, outputs
from tests.tiny import write_video

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference's outputs are not beside this checkout")

QUESTION = "What makes the sound?"
TOKENS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has: the zip of a patch, a film, and features that were extracted for it with the reference."""
    folder = tmp_path_factory.mktemp("walk")
    released = checkpoint("audio")
    shutil.make_archive(str(folder / released.name), "zip", released.parent, released.name)
    write_video(folder / "clip.mp4", frames=40)
    torch.save(features(), folder / "clip_feat.pt")
    return folder


def features() -> torch.Tensor:
    """Features (K,D) of one clip, as the reference's extraction writes them."""
    return outputs("audio")["video_feats"][0, :, :, 0, 0].T.contiguous().bfloat16()


@pytest.fixture(scope="module")
def walked(folder: Path) -> Path:
    """The first two commands."""
    released = folder / f"{checkpoint('audio').name}.zip"
    assert main(["convert", "base", str(BASE), "--out", str(folder / "base")]) == 0
    assert (
        main(["convert", "reference", str(released), "--base", str(folder / "base"), "--out", str(folder / "patch")])
        == 0
    )
    return folder


def asked(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, Any]:
    words = ["--video", str(folder / "clip.mp4"), "--question", QUESTION, "--max-new-tokens", str(TOKENS), "--json"]
    capsys.readouterr()
    assert main(["ask", *words, *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_third_command_answers(capsys: pytest.CaptureFixture[str], walked: Path) -> None:
    found = asked(capsys, walked, "--patch", str(walked / "patch"), "--side", f"audio={walked / 'clip_feat.pt'}")
    assert (found["patches"], found["absent"], found["frames"]) == (["audio"], [], 32)
    assert found["base"] == str(walked / "base")

    model = PaveModel.from_pretrained(walked / "patch")
    processor = PaveProcessor.from_model(model)
    signal = SideChannel(features(), torch.arange(len(features())))
    inputs = processor(QUESTION, walked / "clip.mp4", {"audio": signal})
    ids = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    assert found["answer"] == processor.decode(ids, inputs["input_ids"].shape[1])[0]
    check_prompt(inputs["input_ids"][0], model, processor.base_processor.tokenizer)


def check_prompt(ids: torch.Tensor, model: PaveModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """32 frames of 14 rows, each closed by a newline token, stand where the reference has its placeholder."""
    places = (ids == model.family.placeholder_id).nonzero().flatten().tolist()
    assert places == list(range(places[0], places[0] + 32 * 14 * 15))
    before, after = tokenizer.decode(ids[: places[0]]), tokenizer.decode(ids[places[-1] + 1 :])
    assert before == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    assert after == f"\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


def test_without_its_features_the_patch_does_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, walked: Path
) -> None:
    """The film's own sound is no feature file, so it is not taken for one."""
    patched = asked(capsys, walked, "--patch", str(walked / "patch"), "--side", f"audio={walked / 'clip_feat.pt'}")
    found = asked(capsys, walked, "--patch", str(walked / "patch"))
    assert found["absent"] == ["audio"] and "give --side audio=FILE" in caplog.text
    assert found["answer"] != patched["answer"]


def test_features_of_another_width_are_refused(capsys: pytest.CaptureFixture[str], walked: Path) -> None:
    torch.save(torch.zeros(5, 7), walked / "other.pt")
    options = ["--patch", str(walked / "patch"), "--side", f"audio={walked / 'other.pt'}"]
    assert main(["ask", "--video", str(walked / "clip.mp4"), "--question", QUESTION, *options]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "width 7" in said[0] and "24" in said[0]


def test_a_base_in_its_original_layout_is_named_as_such(capsys: pytest.CaptureFixture[str], walked: Path) -> None:
    released = walked / f"{checkpoint('audio').name}.zip"
    assert main(["convert", "reference", str(released), "--base", str(BASE), "--out", str(walked / "q")]) == 2
    assert "pave convert base" in capsys.readouterr().err
    assert not (walked / "q").exists()
