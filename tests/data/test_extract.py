"""An extraction fills a store with all that data sets ask for, once, and says what became of every file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pave.config import PatchConfig, Preprocessing
from pave.data.extract import ExtractConfig, ExtractResult, extract
from pave.data.extract_worker import VIDEO, Job
from pave.data.processor import PaveProcessor
from pave.data.side import SideReader
from pave.data.store import FeatureStore, StoreError
from pave.data.stored import StoredVideos
from pave.encoders import registry
from pave.encoders.log_mel import LogMelEncoder
from pave.errors import InputError
from pave.model import PaveModel
from pave.types import SideChannel
from tests.data.test_store import files, flip
from tests.media.writing import click, grey_frames, write_media
from tests.tiny import base_folder, save_base, write_data

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six questions about three films, the first of them silent, the last with sound from a file that is none."""
    folder = write_data(tmp_path / "set", count=6, videos=3)
    for index in range(3):
        sound = click(0.5 + index / 4, 2.0, 16_000) if index else None
        write_media(folder / "clips" / f"{index:06}.mp4", grey_frames(20), sound=sound)
    (folder / "clips" / "broken.mp4").write_text("no sound at all")
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line["side"] = {"audio": line["video"]}
    lines[5]["side"] = {"audio": "clips/broken.mp4"}
    (folder / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def make_config(data: Path, store: str = "store", video: bool = False, **fields: Any) -> ExtractConfig:
    base = str(base_folder("llava_onevision")) if video else None
    job = Job(data.parent / store, {"audio": {"type": "log_mel"}}, base, None, "fp32", 4 if video else None, threads=1)
    return ExtractConfig((data,), replace(job, **fields.pop("job", {})), **fields)


def counts(result: ExtractResult) -> dict[str, dict[str, int]]:
    return result.to_dict()["channels"]


def test_every_file_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = extract(make_config(data, video=True))
    audio = {"done": 3, "cached": 0, "absent": 1, "skipped": 1}
    assert counts(result) == {VIDEO: {"done": 3, "cached": 0, "absent": 0, "skipped": 0}, "audio": audio}
    (skipped,) = result.skipped
    assert skipped.task.path.name == "broken.mp4" and skipped.why.startswith("not a media file")
    monkeypatch.setattr(LogMelEncoder, "encode", None)
    monkeypatch.setattr(PaveModel, "encode_videos", None)
    before = files(data.parent / "store")
    again = extract(make_config(data, video=True))
    assert counts(again)["audio"] == {"done": 0, "cached": 3, "absent": 1, "skipped": 1}
    assert counts(again)[VIDEO]["cached"] == 3
    assert files(data.parent / "store") == before
    assert sum(name.endswith(".safetensors") for name in before) == 1


def test_training_finds_what_was_extracted(data: Path) -> None:
    extract(make_config(data, video=True))
    model = PaveModel.from_base(base_folder("llava_onevision"), dtype=torch.float32)
    store = FeatureStore(data.parent / "store")
    videos = StoredVideos(store, model, PaveProcessor.from_model(model, 4))
    encoded = videos.get(data / "clips" / "000001.mp4")
    assert encoded is not None and encoded[1].tokens.shape[0] == 4
    reader = SideReader({"audio": registry.get("log_mel")(registry.get("log_mel").config_class())}, store)
    before = store.keys()
    signal = reader.encode("audio", data / "clips" / "000001.mp4")
    assert signal is not None and store.keys() == before


def test_encoders_that_use_the_tower_are_known_by_its_weights(data: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    text = "\n".join(json.dumps({**line, "side": {"frames": line["video"]}}) for line in lines)
    (data / "samples.jsonl").write_text(text)
    settings = {"type": "frames", "frame_rate": 2.0}
    job = {"encoders": {"frames": settings}, "base": str(base_folder("llava_onevision"))}
    assert counts(extract(make_config(data, job=job)))["frames"]["done"] == 3
    model = PaveModel.from_base(base_folder("llava_onevision"))
    config = PatchConfig("frames", model.family.vision_dim, hidden_dim=16, heads=2)
    model.add_patch("frames", config, None, Preprocessing(4, settings))
    store = FeatureStore(data.parent / "store")
    before = store.keys()
    signal = SideReader.from_model(model, store=store).encode("frames", data / "clips" / "000001.mp4")
    assert signal is not None and signal.width == config.side_dim and store.keys() == before
    other = str(save_base("llava_onevision", tmp_path / "base", seed=1))
    assert counts(extract(make_config(data, job={**job, "base": other})))["frames"]["done"] == 3


def test_two_workers_make_the_same_files(data: Path) -> None:
    extract(make_config(data, video=True))
    result = extract(make_config(data, "other", video=True, workers=2))
    assert counts(result)["audio"]["done"] == 3
    assert files(data.parent / "store") == files(data.parent / "other")


@pytest.mark.slow
def test_ray_makes_the_same_files(data: Path) -> None:
    pytest.importorskip("ray")
    extract(make_config(data, video=True))
    result = extract(make_config(data, "other", video=True, workers=2, engine="ray"))
    assert counts(result)["audio"] == {"done": 3, "cached": 0, "absent": 1, "skipped": 1}
    assert result.skipped[0].why.startswith("not a media file")
    assert files(data.parent / "store") == files(data.parent / "other")
    again = extract(make_config(data, "other", video=True, workers=2, engine="ray"))
    assert counts(again)[VIDEO]["cached"] == counts(again)["audio"]["cached"] == 3


def test_without_ray(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"engine 'ray' needs the package ray; install pave\[ray\]"):
        extract(make_config(data, engine="ray"))


def test_goes_on_after_a_kill(data: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pave.encoders.log_mel import LogMelEncoder as L;"
        "from tests.data.test_extract import *; encode = L.encode;"
        "L.encode = lambda self, path: (time.sleep(60 if '2' in path.name else 0), encode(self, path))[1];"
        "extract(make_config(Path(sys.argv[1])))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
    with subprocess.Popen([sys.executable, "-c", code, str(data)], env=environment) as child:
        loose = data.parent / "store" / "loose"
        while child.poll() is None and len(list(loose.glob("*/[!.]*.safetensors"))) < 2:
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
    result = extract(make_config(data))
    assert counts(result)["audio"] == {"done": 1, "cached": 2, "absent": 1, "skipped": 1}
    extract(make_config(data, "other"))
    assert files(data.parent / "store") == files(data.parent / "other")


def test_verify_makes_damaged_items_again(data: Path) -> None:
    extract(make_config(data))
    before = files(data.parent / "store")
    (shard,) = (data.parent / "store" / "shards").glob("*.safetensors")
    flip(shard)
    result = extract(make_config(data, verify=True))
    assert (result.dropped, counts(result)["audio"]["done"]) == (1, 1)
    assert files(data.parent / "store") == before
    flip(shard)
    assert counts(extract(make_config(data)))["audio"]["done"] == 1
    assert files(data.parent / "store") == before


def test_prune_drops_what_is_not_asked_for(data: Path) -> None:
    extract(make_config(data, "other"))
    extract(make_config(data, job={"encoders": {"audio": {"type": "log_mel", "mels": 32}}}))
    extract(make_config(data))
    assert extract(make_config(data, prune=True)).pruned == 3
    assert files(data.parent / "store") == files(data.parent / "other")


def test_other_settings_are_other_items(data: Path) -> None:
    extract(make_config(data))
    result = extract(make_config(data, job={"encoders": {"audio": {"type": "log_mel", "offset_sec": 1.0}}}))
    assert counts(result)["audio"] == {"done": 3, "cached": 0, "absent": 1, "skipped": 1}


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_float_types(data: Path, dtype: Any) -> None:
    extract(make_config(data, dtype=dtype))
    assert FeatureStore(data.parent / "store").dtype == dtype
    with pytest.raises(StoreError, match=f"a store of {dtype}"):
        extract(make_config(data, dtype="fp16" if dtype == "fp32" else "fp32"))


def test_nan_is_refused_and_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = LogMelEncoder.encode

    def broken(self: LogMelEncoder, path: Path) -> SideChannel | None:
        signal = encode(self, path)
        if signal is not None and path.name == "000001.mp4":
            signal.values[:] = torch.nan
        return signal

    monkeypatch.setattr(LogMelEncoder, "encode", broken)
    result = extract(make_config(data))
    assert counts(result)["audio"]["skipped"] == 2
    assert result.skipped[0].task.path.name == "000001.mp4"
    assert result.skipped[0].why == "feature 'values' holds NaN or infinity; mend the encoder"


def test_an_encoder_that_fails_in_its_own_way_stops_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: LogMelEncoder, path: Path) -> SideChannel | None:
        raise KeyError(path.name)

    monkeypatch.setattr(LogMelEncoder, "encode", fail)
    result = extract(make_config(data))
    assert [outcome.why for outcome in result.skipped] == [
        f"KeyError: '{name}'" for name in ("000000.mp4", "000001.mp4", "000002.mp4", "broken.mp4")
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_store_ends_it(data: Path, workers: int) -> None:
    with pytest.raises(StoreError, match="would outgrow its limit of 1e-08 GB"):
        extract(make_config(data, workers=workers, job={"max_gb": 1e-8}))
    assert FeatureStore(data.parent / "store").keys() == set()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_no_worker_can_use_ends_it(data: Path, workers: int) -> None:
    with pytest.raises(InputError, match="unknown base 'nowhere'"):
        extract(make_config(data, video=True, workers=workers, job={"base": "nowhere"}))


def test_refused(data: Path) -> None:
    for fields, message in (
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"gpus": -1.0}, "gpus is -1.0; it must be at least 0"),
        ({"engine": "spark"}, "engine is 'spark'; choose from 'local', 'ray'"),
        ({"job": {"encoders": {}}}, "there is nothing to extract"),
        ({"job": {"max_gb": 0.0}}, "max_gb is 0.0; it must be above 0"),
        ({"job": {"frames": 4}}, "base is missing"),
        ({"job": {"encoders": {"audio": {"type": "log_mell"}}}}, "unknown encoder 'log_mell'"),
        ({"job": {"encoders": {"audio": {"type": "log_mel", "mel": 3}}}}, "unknown key 'mel'"),
    ):
        with pytest.raises(InputError, match=message) as error:
            extract(make_config(data, **fields))
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="data is empty"):
        ExtractConfig((), make_config(data).job)


def test_features_that_are_only_read_are_left_out(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = extract(make_config(data, video=True, job={"encoders": {"audio": {"type": "precomputed"}}}))
    assert list(counts(result)) == [VIDEO]
    assert "channel 'audio' is read from files that hold its features" in caplog.text


def test_a_channel_of_ones_own_that_is_only_read_is_known(data: Path) -> None:
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line["side"] = {"audion": line["video"]}
    (data / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = extract(make_config(data, video=True, job={"encoders": {"audion": {"type": "precomputed"}}}))
    assert list(counts(result)) == [VIDEO]
