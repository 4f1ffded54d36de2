"""Which encoders a model's channels get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pave.config import Preprocessing
from pave.data.cache import MediaCache, fill_cache
from pave.data.dataset import SampleDataset
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import Sample
from tests.tiny import LORA, PATCH, PREPROCESSING, SIDE_DIM, CountingEncoder, patched, write_video


def test_encoders_come_from_the_patches() -> None:
    model = patched("llava_onevision")
    model.add_patch("pulse", replace(PATCH, channel="pulse"), None, Preprocessing(4, {"type": "precomputed"}))
    model.add_patch("control", None, LORA, Preprocessing(4))
    reader = SideReader.from_model(model)
    assert reader.channels == ["audio", "pulse"]
    assert (reader.encoders["audio"].width, reader.encoders["pulse"].width) == (6, None)


def test_missing_or_contradicting_encoders_are_refused() -> None:
    model = patched("llava_onevision")
    model.add_patch("second", PATCH, None, replace(PREPROCESSING, encoder={"type": "precomputed"}))
    with pytest.raises(InputError, match="two patches read channel 'audio' through different encoders"):
        SideReader.from_model(model)
    del model.preprocessing["second"]
    with pytest.raises(InputError, match="patch 'second' does not say which encoder makes channel 'audio'"):
        SideReader.from_model(model)


def model_with(alignment: str = "index", **settings: object) -> PaveModel:
    model = patched("llava_onevision")
    model.remove_patch("audio")
    encoder = {"type": "precomputed", **settings}
    model.add_patch("views", replace(PATCH, channel="views", alignment=alignment), None, Preprocessing(4, encoder))
    return model


def sample(video: Path, features: Path) -> Sample:
    question = [{"role": "user", "content": "what ?"}, {"role": "assistant", "content": "yes"}]
    return Sample(video.name, video, question, {"views": features})


def test_steps_without_times_are_only_for_patches_that_align_by_index() -> None:
    assert SideReader.from_model(model_with(recipe="siglip", times="index")).channels == ["views"]
    with pytest.raises(InputError, match="goes by seconds, but the encoder of channel 'views' numbers its steps"):
        SideReader.from_model(model_with("time", recipe="siglip", times="index"))


def test_features_are_timed_by_the_video_of_their_sample(tmp_path: Path) -> None:
    film = write_video(tmp_path / "a.mp4", frames=13, rate=6)
    torch.save(torch.zeros(4, 5, SIDE_DIM), tmp_path / "a.pt")
    reader = SideReader.from_model(model_with("time", recipe="languagebind"))
    signal = reader.read(sample(film, tmp_path / "a.pt"))["views"]
    assert signal is not None
    np.testing.assert_allclose(signal.times_sec, np.array([0, 4, 8, 12]) / 6, atol=1e-3)


def test_a_cached_file_is_timed_by_each_of_its_videos(tmp_path: Path) -> None:
    """In one filling and in two; steps that are numbered are kept once."""
    films = [write_video(tmp_path / name, rate=rate) for rate, name in ((6, "a.mp4"), (3, "b.mp4"))]
    torch.save(torch.zeros(4, 5, SIDE_DIM), tmp_path / "a.pt")
    samples = [sample(film, tmp_path / "a.pt") for film in films]
    for settings, kept, parts in (
        ({}, 2, [samples]),
        ({}, 2, [[one] for one in samples]),
        ({"times": "index"}, 1, [samples]),
    ):
        model = model_with("index", recipe="languagebind", **settings)
        reader, cache = SideReader.from_model(model), MediaCache()
        for part in parts:
            fill_cache(cache, model, PaveProcessor.from_model(model), reader, part, 2, 1.0)
        assert len(cache.side) == kept
        for one in samples:
            cached, true = cache.side_of(one, ["views"])["views"], reader.read(one)["views"]
            assert cached is not None and true is not None and torch.equal(cached.times_sec, true.times_sec)


def test_what_is_another_each_time_is_not_cached(tmp_path: Path) -> None:
    class Drawing(CountingEncoder):
        draws = True

    film = write_video(tmp_path / "a.mp4")
    model = model_with()
    arguments = (model, PaveProcessor.from_model(model), SideReader({"views": Drawing()}), [sample(film, film)])
    with pytest.raises(InputError, match="draws anew each time; set cache_video_tokens: false"):
        fill_cache(MediaCache(), *arguments, 1, 1.0)


def views_model(**settings: object) -> PaveModel:
    model = patched("llava_onevision", lora=False)
    model.remove_patch("audio")
    encoder = {"type": "views", "frame_rate": 2.0, **settings}
    model.add_patch("views", replace(PATCH, channel="views", side_dim=16), None, Preprocessing(4, encoder))
    return model


def test_encoders_that_ask_for_it_get_the_tower_of_the_base(tmp_path: Path) -> None:
    film, other = (write_video(tmp_path / name, seed=seed) for seed, name in enumerate(("a.mp4", "b.mp4")))
    model = views_model()
    reader = SideReader.from_model(model)
    signal = reader.read(sample(film, other))["views"]
    assert signal is not None and reader.encoders["views"].width == signal.width == model.family.vision_dim
    assert (signal.steps, signal.grid) == (4, (2, 2))


def test_training_sees_the_cameras_that_its_place_in_the_run_draws(tmp_path: Path) -> None:
    """With and without a cache, and in whatever order samples are asked for."""
    film = write_video(tmp_path / "a.mp4")
    (tmp_path / "cameras").mkdir()
    for seed in range(3):
        write_video(tmp_path / "cameras" / f"{seed}.mp4", seed=seed)
    samples = [sample(film, tmp_path / "cameras")]
    model = views_model(random_views=True)
    processor, cache = PaveProcessor.from_model(model), MediaCache()
    kept = []
    for training in (True, False):
        reader = SideReader.from_model(model, training=training)
        fill_cache(cache, model, processor, reader, samples, 1, 1.0)
        cached = SampleDataset(samples, processor, reader, answer=True, cache=cache)
        read = SampleDataset(samples, processor, reader, answer=True)
        forward = [cached.item(0, draw).side["views"] for draw in range(12)]
        backward = [read.item(0, draw).side["views"] for draw in reversed(range(12))]
        for one, other in zip(forward, reversed(backward), strict=True):
            assert torch.equal(one.values, other.values)
        kept.append([signal.steps for signal in forward])
    assert set(kept[0]) == {4, 8, 12} and set(kept[1]) == {12}
