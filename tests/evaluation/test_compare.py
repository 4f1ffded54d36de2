"""Several models on the same samples: each as it is alone, and differences as a paired bootstrap gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pave.errors import InputError
from pave.evaluation.compare import Contender, paired, run_comparison
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.responses import Response
from pave.evaluation.run import run_evaluation
from pave.evaluation.scoring import Scoring
from pave.model import PaveModel
from tests.hub import fake_hub, record_base
from tests.tiny import LORA, PREPROCESSING, base_folder, patched, write_data

SETTINGS = EvalSettings(batch_size=4, max_new_tokens=3, cache_video_tokens=True)


def responses(right: list[bool]) -> list[Response]:
    return [
        Response(f"q{number}", "?", "yes", "yes" if hit else "no", hit, f"clip{number // 2}")
        for number, hit in enumerate(right)
    ]


def test_differences_are_paired_over_clips() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(200) < 0.5
    better = responses(list(before | (rng.random(200) < 0.1)))
    (found,) = paired("b", better, "a", responses(list(before)), Scoring())
    assert (found.model, found.than, found.metric) == ("b", "a", "accuracy")
    gain = 100 * (np.mean([one.correct for one in better]) - before.mean())
    assert found.value == pytest.approx(gain) and 0 < found.interval[0] < gain < found.interval[1]
    # Unpaired, doubt about the clips themselves would cover a gain of this size.
    assert found.interval[1] - found.interval[0] < 0.5 * 100 * 2 * 1.96 * np.sqrt(2 * 0.25 / 200)
    (same,) = paired("b", responses(list(before)), "a", responses(list(before)), Scoring())
    assert (same.value, same.interval) == (0, (0, 0))


@pytest.mark.parametrize("question", ["?", "and this?"])
def test_ids_that_two_data_sets_use_are_told_apart(question: str) -> None:
    first = Response("q", "?", "yes", "yes", True, "clip")
    both = [first, replace(first, question=question, prediction="no", correct=False)]
    (same,) = paired("b", both, "a", both, Scoring())
    assert same.value == 0
    (other,) = paired("b", both, "a", both[::-1], Scoring())
    assert other.value == 0


def test_what_lies_in_a_folder_stays(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "set", count=2, videos=2), tmp_path / "out"
    (out / "2-patch-audio").mkdir(parents=True)
    (out / "2-patch-audio" / "notes.txt").touch()
    patched("llava_onevision").save_patch("audio", tmp_path / "audio")
    base = str(base_folder("llava_onevision"))
    config = EvalConfig((data,), base=base, out=out, settings=SETTINGS)
    contenders = [Contender("base", ()), Contender("patch:audio", (str(tmp_path / "audio"),))]
    with pytest.raises(InputError, match="2-patch-audio: exists and is not empty, but holds no run.json"):
        run_comparison(config, contenders)
    assert [path.name for path in out.rglob("*")] == ["2-patch-audio", "notes.txt"]


def test_each_is_what_it_is_alone(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=5, videos=2)
    base = str(base_folder("llava_onevision"))
    patched("llava_onevision").save_patch("audio", tmp_path / "audio")
    control = PaveModel.from_base(base)
    control.add_patch("lora_only", None, LORA, replace(PREPROCESSING, encoder=None))
    for weight in control.lora.parameters("lora_only"):
        weight.data.normal_(generator=torch.Generator().manual_seed(1))
    control.save_patch("lora_only", tmp_path / "lora")
    names = ["base", f"lora:{tmp_path / 'lora'}", f"patch:{tmp_path / 'audio'}"]
    contenders = [Contender.parse(name) for name in names]
    config = EvalConfig((data,), base=base, out=tmp_path / "out", settings=SETTINGS)
    found = run_comparison(config, contenders)
    assert found is not None and list(found.results) == names
    for contender in contenders:
        alone = run_evaluation(replace(config, out=None, patches=contender.patches, frames=4))
        assert alone is not None
        assert [said.prediction for said in found.results[contender.name].responses] == [
            said.prediction for said in alone.responses
        ]
    assert [(pair.model, pair.than) for pair in found.differences] == [
        (names[1], "base"),
        (names[2], "base"),
        (names[2], names[1]),
    ]
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert list(written["models"]) == names and len(written["differences"]) == 3
    with pytest.raises(InputError, match="audio is a patch, not a LoRA alone; write patch:"):
        run_comparison(config, [contenders[0], Contender.parse(f"lora:{tmp_path / 'audio'}")])


def test_the_recorded_base_is_taken_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "set", count=2, videos=1)
    patched("llava_onevision").save_patch("audio", tmp_path / "audio")
    record_base(tmp_path / "audio", "owner/base", "abc123")
    asked = fake_hub(monkeypatch, tmp_path / "hub")
    contenders = [Contender.parse("base"), Contender.parse(f"patch:{tmp_path / 'audio'}")]
    config = EvalConfig((data,), patches=(str(tmp_path / "audio"),), settings=SETTINGS)
    assert run_comparison(config, contenders) is not None
    assert set(asked) == {("owner/base", "abc123")}
    asked.clear()
    assert run_comparison(replace(config, base="owner/other"), contenders) is not None
    assert asked[0] == ("owner/other", None)


@pytest.mark.parametrize("text", ["bass", "patch:", "lora", "patch:a+", "base:x"])
def test_misspelt_models_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write base, lora:FOLDER, patch:FOLDER"):
        Contender.parse(text)


def test_one_model_is_no_comparison() -> None:
    with pytest.raises(InputError, match="name at least two models, each once"):
        run_comparison(EvalConfig((Path("set"),), base="blindspot"), [Contender.parse("base")])
