"""A copy of the base with LoRAs in its weights says what base and LoRAs do; no other patch is changed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from pave import InputError, LoraSpec, PaveModel
from tests.batches import logits
from tests.composed import channel_batch, composed, only
from tests.tiny import FAMILIES, base_folder


@pytest.mark.parametrize("family", FAMILIES)
def test_gives_the_same_answers_without_peft(family: str, tmp_path: Path) -> None:
    base = AutoModelForImageTextToText.from_pretrained(base_folder(family))
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    model, batch = composed(family, ["audio", "depth"], base), channel_batch(family, 2)
    side = only(batch, "audio", "depth")
    wanted = logits(model, batch.inputs, side=side, video_times_sec=batch.times)
    model.export_merged(tmp_path / "out")
    assert torch.equal(logits(model, batch.inputs, side=side, video_times_sec=batch.times), wanted)
    after = {name.replace(".base_layer", ""): weight for name, weight in base.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())

    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "out" / "base")
    assert set(merged.state_dict()) == set(before)
    AutoProcessor.from_pretrained(tmp_path / "out" / "base")
    again = PaveModel.from_pretrained(tmp_path / "out" / "patches" / "audio")
    again.load_patch(tmp_path / "out" / "patches" / "depth")
    assert not again.lora.specs
    found = logits(again, batch.inputs, side=side, video_times_sec=batch.times)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (found - logits(again, batch.inputs)).abs().max() > 1e-2


def test_its_patches_find_their_base_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    composed(FAMILIES[0], ["audio"]).export_merged("out")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    PaveModel.from_pretrained(tmp_path / "out" / "patches" / "audio")


def test_takes_a_lora_alone_with_its_weight(tmp_path: Path) -> None:
    family = FAMILIES[0]
    model, batch = composed(family, ["audio"]), channel_batch(family, 2)
    model.remove_patch("audio")
    model.add_patch("manner", None, LoraSpec(r=2))
    with torch.no_grad():
        for weight in model.lora.parameters("manner"):
            weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))
    model.set_patches({"manner": 0.5})
    wanted = logits(model, batch.inputs)
    model.export_merged(tmp_path / "out")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "out" / "base")
    torch.testing.assert_close(logits(merged, batch.inputs), wanted, atol=1e-5, rtol=1e-5)
    assert not (tmp_path / "out" / "patches").exists()


def test_says_that_folders_do_not_hold_balance(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = composed(FAMILIES[0], ["audio", "depth"])
    model.export_merged(tmp_path / "plain")
    assert "balanced" not in caplog.text
    model.balanced = True
    model.export_merged(tmp_path / "balanced")
    assert "the model is balanced, which folders do not hold" in caplog.text


class TestIsRefused:
    """And nothing is written."""

    def refuse(self, model: PaveModel, folder: Path, message: str) -> None:
        with pytest.raises(InputError, match=message):
            model.export_merged(folder / "out")
        assert not any(folder.iterdir())

    def test_where_it_would_change_another_patch(self, tmp_path: Path) -> None:
        model = composed(FAMILIES[0])
        model.set_patches(["audio", "views"])
        self.refuse(model, tmp_path, "merging the LoRAs of audio, views would change patch 'depth'")

    def test_without_any_lora(self, tmp_path: Path) -> None:
        model = composed(FAMILIES[0], ["audio"])
        model.set_patches([])
        self.refuse(model, tmp_path, "no active patch has a LoRA")

    def test_with_a_weight_that_a_folder_cannot_hold(self, tmp_path: Path) -> None:
        model = composed(FAMILIES[0], ["audio"])
        model.set_patches({"audio": 0.5})
        self.refuse(model, tmp_path, "patch 'audio' is active with weight 0.5")

    def test_over_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").touch()
        with pytest.raises(InputError, match="exists and is not empty"):
            composed(FAMILIES[0], ["audio"]).export_merged(tmp_path / "out")


def test_weights_that_diverged_are_not_exported(tmp_path: Path) -> None:
    model = composed(FAMILIES[0], ["audio"])
    with torch.no_grad():
        next(model.patches["audio"].parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="patch 'audio': tensor '.*' holds NaN or infinity"):
        model.export_merged(tmp_path / "out")
    assert not (tmp_path / "out").exists()
