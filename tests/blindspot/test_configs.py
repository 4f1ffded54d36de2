"""The shipped training configurations: each trains on its own kind of data; a control differs by the patch alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.tiny_base import DEFAULT_FAMILY, FAMILIES, build_model, build_processor
from pave.blindspot.tracks import TRACKS
from pave.checkpoint import read_spec
from pave.cli.arguments import parse
from pave.config import from_dict
from pave.model import PaveModel
from pave.training.config import Source, TrainConfig
from pave.training.train import train

CONFIGS = Path(__file__).parents[2] / "configs"
PATCHED = ("hear", "depth", "views", "blink")


def _config(name: str) -> TrainConfig:
    config = parse(TrainConfig, "pave train", [str(CONFIGS / f"blindspot-{name}.yaml")])
    assert isinstance(config, TrainConfig)
    return config


def _made_small(source: Source, folder: Path) -> Source:
    assert source.make is not None
    small = from_dict(MakeConfig, {**source.make, "out": str(folder / source.path.name), "count": 12, "workers": 1})
    make(small)
    return replace(source, path=small.out, make=None, from_step=0)


@pytest.mark.parametrize("name", [*PATCHED, *(f"{name}-lora-only" for name in PATCHED)])
def test_a_step_of_training_goes_through_from_films_to_weights(name: str, tmp_path: Path) -> None:
    config = _config(name)
    data = tuple(_made_small(source, tmp_path) for source in config.data)
    result = train(replace(config, data=data, out=tmp_path / "out", steps=1, batch_size=8, log_every=1))
    assert result.loss > 0
    spec = read_spec(tmp_path / "out")
    channel = TRACKS[name.removesuffix("-lora-only")].channels[0]
    if name in PATCHED:
        assert spec.patch is not None and spec.patch.channel == channel
        assert spec.training["files_without_channel"] == {channel: 0}
    else:
        assert spec.patch is None
    for source in data:
        samples = [json.loads(line) for line in (source.path / "samples.jsonl").read_text("utf-8").splitlines()]
        assert all(channel in sample["side"] for sample in samples)


@pytest.mark.parametrize("name", ["hear", "depth"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != DEFAULT_FAMILY])
def test_one_line_trains_it_on_a_base_of_another_family(name: str, family: str, tmp_path: Path) -> None:
    build_model(0, family).save_pretrained(tmp_path / "base")
    build_processor(family).save_pretrained(tmp_path / "base")
    config = replace(_config(name), base=str(tmp_path / "base"))
    data = tuple(_made_small(source, tmp_path) for source in config.data)
    result = train(replace(config, data=data, out=tmp_path / "out", steps=2, batch_size=8, log_every=1))
    assert result.loss > 0
    assert read_spec(tmp_path / "out").base.model_type == family


@pytest.mark.parametrize("name", PATCHED)
def test_the_control_has_the_same_data_and_lora(name: str) -> None:
    patched, control = _config(name), _config(f"{name}-lora-only")
    assert control.patch is None and control.preprocessing.encoder is None
    same = {"patch": patched.patch, "preprocessing": patched.preprocessing, "out": patched.out}
    rates = {name: getattr(patched, name) for name in ("patch_lr", "norm_lr", "side_dropout")}
    assert replace(control, **same, **rates) == patched


def test_the_run_of_all_channels_has_the_patches_and_data_of_the_single_ones(tmp_path: Path) -> None:
    together, single = _config("together"), {name: _config(name) for name in PATCHED}
    assert together.parts == {name: (single[name].patch, single[name].preprocessing) for name in sorted(PATCHED)}
    made = {source.path: source.make for config in single.values() for source in config.data}
    assert all(made[source.path] == source.make for source in together.data)
    data = tuple(_made_small(source, tmp_path) for source in together.data)
    train(replace(together, data=data, out=tmp_path / "out", steps=1, batch_size=20, log_every=1))
    model = PaveModel.from_base(together.base)
    for name in PATCHED:
        assert model.load_patch(tmp_path / "out" / name) == single[name].channels[0]
    assert len({spec.lora for spec in model.specs.values()}) == 1


def test_no_two_training_sets_share_a_seed_and_track() -> None:
    made = {}
    for name in PATCHED:
        for source in _config(name).data:
            assert source.make is not None
            assert made.setdefault(source.path, source.make) == source.make
    streams = [(settings["track"], settings["seed"]) for settings in made.values()]
    assert len({stream for stream in streams if stream[0] != "see"}) == len(PATCHED)
