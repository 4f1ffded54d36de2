"""A data set reads media lazily and blames bad conversations on their line."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from pave.data.dataset import SampleDataset
from pave.data.jsonl import read_samples
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.errors import InputError
from tests.tiny import CountingEncoder, patched, write_data


def test_media_are_read_when_asked(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    samples = read_samples(write_data(tmp_path / "set"))
    reader = SideReader({"audio": CountingEncoder()})
    dataset = SampleDataset(samples, PaveProcessor.from_model(model), reader, answer=True)
    assert (len(dataset), reader.encoders["audio"].calls) == (6, 0)
    sample = dataset[1]
    assert sample.video is not None and sample.side["audio"] is not None
    assert reader.encoders["audio"].calls == 1


def test_text_only_and_absent_channels(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    text, silent, *_ = read_samples(write_data(tmp_path / "set"))
    text, silent = replace(text, video=None), replace(silent, side={})
    reader = SideReader({"audio": CountingEncoder()})
    dataset = SampleDataset([text, silent], PaveProcessor.from_model(model), reader, answer=False)
    assert dataset[0].video is None
    assert dataset[1].side == {"audio": None}


def test_side_media_without_a_video_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    processor = PaveProcessor.from_model(patched("llava_onevision"))
    samples = read_samples(write_data(tmp_path / "set"))
    reader = SideReader({"audio": CountingEncoder()})
    silent = replace(samples[0], video=None, side={"audio": None})
    SampleDataset([silent, *samples[1:]], processor, reader, answer=True)
    assert not caplog.records
    lone = [replace(sample, video=None) for sample in samples[1:3]]
    SampleDataset([silent, *lone, samples[3]], processor, SideReader({}), answer=True)
    assert not caplog.records
    SampleDataset([silent, *lone, samples[3]], processor, reader, answer=True)
    ((_, level, told),) = caplog.record_tuples
    assert level == logging.WARNING and "2 of 4 samples name side media but no video, first " in told
    assert "samples.jsonl:2; patches do nothing on them" in told


def test_bad_conversation_names_its_line(tmp_path: Path) -> None:
    model = patched("llava_onevision")
    samples = read_samples(write_data(tmp_path / "set"))
    samples[2].messages[0]["content"] = "what <video> ?"
    with pytest.raises(InputError, match=r"samples.jsonl:3: the conversation holds the base's video placeholder"):
        SampleDataset(samples, PaveProcessor.from_model(model), SideReader({}), answer=True)
