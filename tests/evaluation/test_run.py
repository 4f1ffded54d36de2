"""Evaluation end to end on tiny models: counts, scores, files, and that batches and caches change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pave.data.cache import MediaCache
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.evaluation import run
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.questions import with_references
from pave.evaluation.result import EvalResult
from pave.evaluation.run import evaluate, load_model, run_evaluation
from pave.model import PaveModel
from pave.types import Sample
from tests.hub import fake_hub, record_base
from tests.tiny import FAMILIES, LORA, PATCH, PREPROCESSING, base_folder, patched, write_data

SETTINGS = EvalSettings(batch_size=4, max_new_tokens=4)


def predictions(result: EvalResult) -> list[str]:
    return [response.prediction for response in result.responses]


def with_answers(samples: list[Sample], answers: list[str]) -> list[Sample]:
    changed = []
    for sample, answer in zip(samples, answers, strict=True):
        changed.append(replace(sample, messages=[sample.messages[0], {"role": "assistant", "content": answer}]))
    return changed


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_size_and_cache_change_no_answer(family: str, tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=5))
    model = patched(family)
    singles = evaluate(model, samples, replace(SETTINGS, batch_size=1))
    assert predictions(singles) == predictions(evaluate(model, samples, SETTINGS))
    assert predictions(singles) == predictions(evaluate(model, samples, replace(SETTINGS, cache_video_tokens=True)))


@pytest.mark.parametrize("family", FAMILIES)
def test_store_changes_no_answer_and_spares_the_tower(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=5))
    model = patched(family)
    settings = replace(SETTINGS, store=tmp_path / "store")
    plain = predictions(evaluate(model, samples, SETTINGS))
    assert predictions(evaluate(model, samples, settings)) == plain
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    result = evaluate(model, samples, settings)
    assert predictions(result) == plain
    assert predictions(evaluate(model, samples, replace(settings, cache_video_tokens=True))) == plain
    result.write(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["config"]["settings"]["store"] == str(
        tmp_path / "store"
    )


def test_balanced_patches_answer_as_on_a_balanced_model(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=5)
    model = patched("llava_onevision")
    model.add_patch("depth", replace(PATCH, channel="depth"), None, PREPROCESSING)
    torch.nn.init.constant_(model.patches["depth"].get_parameter("norm.weight"), 3.0)
    samples = [replace(sample, side={**sample.side, "depth": sample.side["audio"]}) for sample in read_samples(data)]
    balanced = evaluate(model, samples, replace(SETTINGS, balance=True))
    assert balanced.config["settings"]["balance"] is True and model.balanced is False
    plain = predictions(evaluate(model, samples, SETTINGS))
    model.balanced = True
    assert predictions(balanced) == predictions(evaluate(model, samples, SETTINGS)) != plain


def test_balance_is_recorded_and_what_cannot_be_balanced_is_refused_before_asking(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=2, videos=1)
    model = patched("llava_onevision")
    model.add_patch("depth", replace(PATCH, channel="depth", gate="tanh"), None, PREPROCESSING)
    for name in ("audio", "depth"):
        model.save_patch(name, tmp_path / name)
    config = EvalConfig((data,), patches=(str(tmp_path / "audio"),), settings=replace(SETTINGS, balance=True))
    result = run_evaluation(config)
    assert result is not None and result.config["model"]["balanced"] is True
    out = tmp_path / "out"
    with pytest.raises(InputError, match="patch 'depth': its weights do not tell"):
        run_evaluation(replace(config, patches=(*config.patches, str(tmp_path / "depth")), out=out))
    assert not out.exists()


def test_base_only_is_the_base_and_reads_no_channel(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=4))
    base = PaveModel.from_base(base_folder("llava_onevision"))
    stock = evaluate(base, samples, SETTINGS, PaveProcessor.from_model(base, frames=4))
    for path in (tmp_path / "set" / "features").iterdir():
        path.write_bytes(b"")
    model = patched("llava_onevision")
    cache = MediaCache()
    found = evaluate(model, samples, SETTINGS, cache=cache, base_only=True)
    assert predictions(found) == predictions(stock)
    assert (found.patches, found.absent, cache.side) == ([], {}, {})
    with pytest.raises(InputError, match="features"):
        evaluate(model, samples, SETTINGS, cache=cache)


def test_base_only_leaves_a_lora_out_that_acts_without_a_channel(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=4))
    base = PaveModel.from_base(base_folder("llava_onevision"))
    processor = PaveProcessor.from_model(base, frames=4)
    stock = predictions(evaluate(base, samples, SETTINGS, processor))
    base.add_patch("lora_only", None, LORA)
    generator = torch.Generator().manual_seed(0)
    for weight in base.lora.parameters("lora_only"):
        weight.data.normal_(generator=generator)
    assert predictions(evaluate(base, samples, SETTINGS, processor)) != stock
    assert predictions(evaluate(base, samples, SETTINGS, processor, base_only=True)) == stock


def test_cache_is_shared_between_base_and_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=4))
    model = patched("llava_onevision")
    cache = MediaCache()
    with_patch = evaluate(model, samples, SETTINGS, cache=cache)
    monkeypatch.setattr("pave.data.processor.sample_frames", None)
    without = evaluate(model, samples, SETTINGS, cache=cache, base_only=True)
    assert predictions(with_patch) != predictions(without)
    assert predictions(with_patch) == predictions(evaluate(model, samples, SETTINGS, cache=cache))


def test_scores_are_of_the_answers(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=6, videos=6, track="hear"))
    model = patched("llava_onevision")
    said = predictions(evaluate(model, samples, SETTINGS))
    half = with_answers(samples, [text.upper() if index % 2 else "wrong" for index, text in enumerate(said)])
    result = evaluate(model, half, SETTINGS)
    assert (result.accuracy, result.n, result.skipped, result.chance) == (0.5, 6, 0, 0.5)
    assert result.interval[0] < 0.5 < result.interval[1]
    assert result.by_form["order"]["accuracy"] == 0 and result.by_form["place"]["accuracy"] == 1
    assert result.by_track["hear"]["n"] == 6
    assert [response.correct for response in result.responses] == [False, True] * 3


def test_skipped_and_absent_are_counted(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=5))
    samples[1] = replace(samples[1], messages=samples[1].messages[:1])
    samples[2] = replace(samples[2], side={}, extra={})
    samples[3] = replace(samples[3], video=None, side={})
    result = evaluate(patched("llava_onevision"), samples, SETTINGS)
    assert (result.n, result.skipped, dict(result.skipped_reasons)) == (4, 1, {"no answer": 1})
    assert result.absent == {"audio": 2}
    assert result.chance is None
    assert sum(scores["n"] for scores in result.by_form.values()) == 3


def test_nothing_to_score_is_refused(tmp_path: Path) -> None:
    samples = read_samples(write_data(tmp_path / "set", count=2))
    unanswered = [replace(sample, messages=sample.messages[:1]) for sample in samples]
    with pytest.raises(InputError, match="none of 2 samples ends with an answer"):
        evaluate(patched("llava_onevision"), unanswered, SETTINGS)
    with pytest.raises(InputError, match="samples.jsonl:1: field 'blind' is 'half'; it must be of type int or float"):
        evaluate(patched("llava_onevision"), [replace(samples[0], extra={"blind": "half"})], SETTINGS)


def test_what_no_answer_could_be_scored_by_is_refused_before_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path / "set", count=2, benchmark="avqa")
    monkeypatch.setattr(run, "load_model", None)
    config = EvalConfig((data,), base=str(base_folder("llava_onevision")), settings=SETTINGS)
    with pytest.raises(InputError, match="sample 'tiny-0': choices is None; it must be a list of texts"):
        run_evaluation(config)
    samples = read_samples(data)
    with pytest.raises(InputError, match="sample 'tiny-0': choices is None"):
        evaluate(patched("llava_onevision"), samples, SETTINGS)
    blank = [replace(samples[0], extra={"references": [" "]}), *samples[1:]]
    assert with_references(blank).unreferenced == 1


def save_patch(folder: Path) -> Path:
    patched("llava_onevision").save_patch("audio", folder)
    return folder


def test_from_names_to_files(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "set", count=5), tmp_path / "result"
    patch = save_patch(tmp_path / "patch")
    config = EvalConfig((data,), patches=(str(patch),), out=out, limit=4, settings=SETTINGS)
    result = run_evaluation(config)
    assert sorted(path.name for path in out.iterdir()) == ["responses.jsonl", "result.json", "run.json"]
    written = json.loads((out / "result.json").read_text())
    assert (written["n"], written["accuracy"], written["patches"]) == (4, result.accuracy, ["audio"])
    assert written["interval"] == list(result.interval)
    assert written["config"]["frames"] == 4 and written["config"]["patches"] == [str(patch)]
    assert written["config"]["settings"]["max_new_tokens"] == 4 and len(written["config"]["data_sha256"][0]) == 64
    assert "transformers" in written["versions"]
    lines = [json.loads(line) for line in (out / "responses.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"tiny-{index}" for index in range(4)]
    assert {"question", "answer", "prediction", "correct"} <= set(lines[0])
    assert lines[1]["extra"] == {"blind": 0.5, "form": "place"}


def test_the_recorded_base_is_taken_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, asked = save_patch(tmp_path / "patch"), fake_hub(monkeypatch, tmp_path / "hub")
    record_base(patch, "owner/base", "abc123")
    assert list(load_model(EvalConfig((tmp_path,), patches=(str(patch),))).specs) == ["audio"]
    assert asked == [("owner/base", "abc123")]


def test_base_by_itself_and_in_half_precision(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=3)
    base = str(base_folder("llava_onevision"))
    result = run_evaluation(EvalConfig((data,), base=base, frames=4, settings=SETTINGS))
    assert (result.n, result.patches, result.absent) == (3, [], {})
    patch = str(save_patch(tmp_path / "patch"))
    assert run_evaluation(EvalConfig((data,), base=base, patches=(patch,), precision="bf16", settings=SETTINGS)).n == 3


def test_taken_output_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="exists and is not empty"):
        run_evaluation(EvalConfig((tmp_path / "none",), base="nowhere", out=tmp_path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvalConfig(()), "data is empty"),
        (lambda: EvalConfig((Path("set"),)), "neither base nor patches"),
        (lambda: EvalConfig((Path("set"),), base="base", limit=0), "limit is 0; it must be at least 1, or null"),
        (lambda: EvalConfig((Path("set"),), base="base", precision="int8"), "precision is 'int8'; choose from"),
        (lambda: EvalSettings(batch_size=0), "batch_size is 0; it must be above 0"),
        (lambda: EvalSettings(seed=-1), "seed is -1; it must be 0 or more"),
    ],
)
def test_bad_configurations_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
