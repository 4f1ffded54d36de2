"""Video tokens and side channels come back from a store as they went in, are made once, and never wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pave.data.cache import MediaCache, fill_cache, fill_store
from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.store import FeatureStore
from pave.data.stored import StoredMedia, StoredVideos, open_store
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample, SideChannel
from tests.data.test_store import flip
from tests.tiny import FAMILIES, CountingEncoder, patched, write_data

Case = tuple[PaveModel, PaveProcessor, SideReader, list[Sample]]


@pytest.fixture(params=FAMILIES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    model = patched(request.param)
    samples = read_samples(write_data(tmp_path / "set", count=6, videos=4))
    store = open_store(tmp_path / "store", model)
    return model, PaveProcessor.from_model(model), SideReader({"audio": CountingEncoder()}, store), samples


def filled(case: Case) -> StoredMedia:
    model, processor, reader, samples = case
    assert reader.store is not None
    return fill_store(model, processor, reader, samples, 3, StoredVideos(reader.store, model, processor))


def test_results_are_bit_equal(case: Case) -> None:
    model, processor, reader, samples = case
    collate = processor.collator("right", ["audio"])
    plain = SampleDataset(samples, processor, SideReader({"audio": CountingEncoder()}), answer=True)
    kept = SampleDataset(samples, processor, reader, answer=True, cache=filled(case))
    assert reader.store is not None and reader.store.dtype == "fp32"
    for index in range(4):
        anew, stored = collate([plain[index]]), collate([kept[index]])
        assert "pixel_values_videos" in anew and "pixel_values_videos" not in stored
        assert torch.equal(model(**anew).logits, model(**stored).logits)


def test_each_file_is_computed_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor, reader, samples = case
    filled(case)
    assert reader.store is not None
    assert (len(reader.store.keys()), reader.encoders["audio"].calls) == (8, 4)
    reader.store.compact()
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    dataset = SampleDataset(samples, processor, reader, answer=True, cache=filled(case))
    assert dataset[0].encoded is not None and dataset[5].side["audio"] is not None
    assert reader.encoders["audio"].calls == 4


def test_store_fills_the_cache(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor, reader, samples = case
    media = filled(case)
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    cache = MediaCache()
    fill_cache(cache, model, processor, reader, samples, 3, 1.0, media.videos)
    assert (len(cache.videos), reader.encoders["audio"].calls) == (4, 4)
    assert torch.equal(cache.video(samples[0].video)[1].tokens, media.video(samples[0].video)[1].tokens)


def test_damaged_items_are_made_again(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    model, processor, reader, samples = case
    tokens = filled(case).video(samples[0].video)[1].tokens
    assert reader.store is not None
    reader.store.compact()
    (shard,) = (reader.store.folder / "shards").glob("*.safetensors")
    for place in range(2000, shard.stat().st_size, 1000):
        flip(shard, place)
    reader.store = FeatureStore(reader.store.folder)
    media = filled(case)
    assert "fails its checksum" in caplog.text
    torch.testing.assert_close(media.video(samples[0].video)[1].tokens, tokens)
    assert all(media.side_of(sample, ["audio"])["audio"] is not None for sample in samples)
    media.videos.store.compact()
    assert FeatureStore(reader.store.folder).verify() == []


def test_lost_since_the_run_began(case: Case) -> None:
    media = filled(case)
    media.videos.store.prune([])
    with pytest.raises(InputError, match=r"000000.mp4: its video tokens in .* were lost since the run began"):
        media.video(case[3][0].video)


def test_other_weights_frames_layout_or_bytes_are_other_items(case: Case) -> None:
    model, processor, reader, samples = case
    assert reader.store is not None and samples[0].video is not None
    video = samples[0].video
    about = StoredVideos(reader.store, model, processor).about(video)
    assert StoredVideos(reader.store, patched(model.config.model_type), processor).about(video) == about
    assert StoredVideos(reader.store, model, PaveProcessor.from_model(model, 6)).about(video) != about
    language, vision = (
        next(weight for name, weight in model.base.named_parameters() if part in name)
        for part in (".language_model.", ".visual." if "qwen" in model.config.model_type else ".vision_tower.")
    )
    with torch.no_grad():
        language.add_(1)
        assert StoredVideos(reader.store, model, processor).about(video) == about
        vision.view(-1)[0] += 1
        assert StoredVideos(reader.store, model, processor).about(video) != about
        vision.view(-1)[0] -= 1
    model.to(torch.bfloat16)
    assert StoredVideos(reader.store, model, processor).about(video) != about
    moved = video.rename(video.with_name("moved.mp4"))
    assert StoredVideos(reader.store, patched(model.config.model_type), processor).about(moved) == about
    moved.write_bytes(moved.read_bytes() + b"1")
    assert StoredVideos(reader.store, patched(model.config.model_type), processor).about(moved) != about


class TestSide:
    def reader(self, tmp_path: Path, encoder: CountingEncoder) -> SideReader:
        return SideReader({"audio": encoder}, FeatureStore(tmp_path / "store", "bf16"))

    def test_first_and_later_are_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_text("a")
        reader = self.reader(tmp_path, CountingEncoder())
        first, later = (reader.encode("audio", tmp_path / "a.wav") for _ in range(2))
        assert first is not None and later is not None and reader.encoders["audio"].calls == 1
        assert torch.equal(first.values, later.values) and torch.equal(first.times_sec, later.times_sec)
        assert first.grid == later.grid and first.values.dtype == torch.float32
        true = CountingEncoder().encode(tmp_path / "a.wav")
        assert true is not None
        torch.testing.assert_close(first.values, true.values, rtol=2**-8, atol=0)

    def test_absent(self, tmp_path: Path) -> None:
        (tmp_path / "silent.wav").write_text("a")
        reader = self.reader(tmp_path, CountingEncoder())
        assert [reader.encode("audio", tmp_path / "silent.wav") for _ in range(2)] == [None, None]
        assert reader.encoders["audio"].calls == 1

    @pytest.mark.parametrize("attribute", ["draws", "only_reads"])
    def test_what_draws_or_reads_is_not_stored(self, tmp_path: Path, attribute: str) -> None:
        (tmp_path / "a.wav").write_text("a")
        encoder = CountingEncoder()
        setattr(encoder, attribute, True)
        reader = self.reader(tmp_path, encoder)
        for _ in range(2):
            reader.encode("audio", tmp_path / "a.wav")
        assert encoder.calls == 2 and reader.store is not None and reader.store.keys() == set()

    def test_nan_is_refused_and_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_text("a")

        class Broken(CountingEncoder):
            def encode(self, path: Path) -> SideChannel | None:
                signal = super().encode(path)
                assert signal is not None
                signal.values[0, 0, 0] = torch.nan
                return signal

        reader = self.reader(tmp_path, Broken())
        with pytest.raises(InputError, match=r"a.wav: feature 'values' holds NaN or infinity; mend the encoder"):
            reader.encode("audio", tmp_path / "a.wav")
        assert reader.store is not None and reader.store.keys() == set()


def test_nan_of_the_tower_is_refused_and_named(case: Case) -> None:
    model, processor, reader, samples = case
    with torch.no_grad():
        next(weight for name, weight in model.base.named_parameters() if "vis" in name).fill_(torch.nan)
    with pytest.raises(InputError, match=r"00000\d.mp4: feature 'tokens' holds NaN or infinity"):
        filled((model, processor, reader, [replace(sample, side={}) for sample in samples]))
