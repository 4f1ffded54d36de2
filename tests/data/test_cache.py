"""What is cached is bit for bit what would be computed anew, is computed once, and knows its limit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pave.data.cache import MediaCache, fill_cache
from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample
from tests.tiny import FAMILIES, CountingEncoder, patched, write_data

Case = tuple[PaveModel, PaveProcessor, SideReader, list[Sample]]


@pytest.fixture(params=FAMILIES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    model = patched(request.param)
    samples = read_samples(write_data(tmp_path / "set", count=6, videos=4))
    return model, PaveProcessor.from_model(model), SideReader({"audio": CountingEncoder()}), samples


def test_results_are_bit_equal(case: Case) -> None:
    model, processor, reader, samples = case
    cache = MediaCache()
    fill_cache(cache, model, processor, reader, samples, 2, 1.0)
    collate = processor.collator("right", ["audio"])
    plain = SampleDataset(samples, processor, reader, answer=True)
    cached = SampleDataset(samples, processor, reader, answer=True, cache=cache)
    for start in (0, 2):
        anew = collate([plain[index] for index in range(start, start + 2)])
        kept = collate([cached[index] for index in range(start, start + 2)])
        assert "pixel_values_videos" in anew and "pixel_values_videos" not in kept
        assert torch.equal(model(**anew).logits, model(**kept).logits)
        assert torch.equal(model(**anew).loss, model(**kept).loss)


def test_threads_change_no_bit_and_no_order(case: Case) -> None:
    model, processor, reader, samples = case
    caches = [MediaCache(), MediaCache()]
    for cache, threads in zip(caches, (0, 3), strict=True):
        fill_cache(cache, model, processor, reader, samples, 2, 1.0, threads=threads)
    one, other = caches
    assert list(one.videos) == list(other.videos) and list(one.side) == list(other.side)
    for path, (_, tokens) in one.videos.items():
        assert torch.equal(tokens.tokens, other.videos[path][1].tokens)
    for key, signal in one.side.items():
        assert torch.equal(signal.values, other.side[key].values)


def test_each_file_is_computed_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor, reader, samples = case
    cache = MediaCache()
    fill_cache(cache, model, processor, reader, samples, 3, 1.0)
    assert (len(cache.videos), reader.encoders["audio"].calls) == (4, 4)
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    fill_cache(cache, model, processor, reader, samples, 3, 1.0)
    dataset = SampleDataset(samples, processor, reader, answer=True, cache=cache)
    assert dataset[0].encoded is dataset[4].encoded
    assert reader.encoders["audio"].calls == 4


def test_cache_that_would_not_fit_is_refused_early(case: Case) -> None:
    model, processor, reader, samples = case
    cache = MediaCache()
    with pytest.raises(InputError, match="video tokens of 4 files would take about .* GB of memory, above the limit"):
        fill_cache(cache, model, processor, reader, samples, 1, 4e-6)
    assert len(cache.videos) < 4


@pytest.mark.parametrize("threads", [0, 2])
def test_files_without_the_signal_are_absent_and_counted(
    case: Case, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    model, processor, reader, samples = case
    samples = [replace(sample, side={"audio": Path(f"silent-{index % 2}")}) for index, sample in enumerate(samples)]
    cache = MediaCache()
    with caplog.at_level(logging.WARNING, "pave"):
        fill_cache(cache, model, processor, reader, samples, 3, 1.0, threads=threads)
    assert SampleDataset(samples, processor, reader, answer=True, cache=cache)[0].side == {"audio": None}
    said = [record.getMessage() for record in caplog.records]
    assert said == ["silent-0: holds no audio; such samples run without that channel", "2 of 2 files hold no audio"]


def test_cache_of_another_kind_is_refused(case: Case) -> None:
    model, processor, reader, samples = case
    cache = MediaCache()
    fill_cache(cache, model, processor, reader, samples, 3, 1.0)
    with pytest.raises(InputError, match="the cache was made with frames 4, not 6"):
        fill_cache(cache, model, PaveProcessor.from_model(model, frames=6), reader, samples, 3, 1.0)
    with pytest.raises(InputError, match="the cache was made with encoder of audio CountingConfig.*, not Precomputed"):
        fill_cache(cache, model, processor, SideReader.from_model(model), samples, 3, 1.0)


def test_cache_of_a_bare_base_does_not_serve_a_patch_that_asks_before_the_projector(case: Case) -> None:
    model, processor, reader, samples = case
    base = PaveModel.from_base(model.record.name)
    cache = MediaCache()
    fill_cache(cache, base, PaveProcessor.from_model(base, frames=4), SideReader({}), samples, 3, 1.0)
    with pytest.raises(InputError, match="lacks features from before the projector"):
        fill_cache(cache, model, processor, reader, samples, 3, 1.0)
