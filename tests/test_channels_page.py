"""The encoder that the page on side channels shows works as it stands there: installed, found, trained with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pave import encoders
from pave.config import PatchConfig, from_dict
from pave.data.jsonl import read_samples
from pave.data.side import SideReader
from pave.encoders.views_file import read_views
from pave.errors import InputError
from pave.evaluation.run import evaluate
from pave.model import PaveModel
from pave.training.config import Source, TrainConfig
from pave.training.train import train
from tests.tiny import base_folder, write_data

PAGE = (Path(__file__).parents[1] / "docs" / "channels.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example as a package with its entry point, as an installer would leave it."""
    site = tmp_path / "site"
    about = site / "my_package-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "my_package.py").write_text(blocks("python")[0])
    table, line = blocks("toml")[0].strip().splitlines()
    group = re.fullmatch(r'\[project\.entry-points\."(.+)"\]', table)
    assert group is not None
    (about / "entry_points.txt").write_text(f"[{group[1]}]\n{line.replace(chr(34), '')}\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(encoders.registry, "_targets", dict(encoders.registry._targets))
    monkeypatch.setattr(encoders.registry, "_entry_points_read", False)


def write_csv(path: Path, bump_sec: float, length_sec: float = 2.0) -> Path:
    """Write a hundred rows a second, still but for one knock along x."""
    seconds = np.arange(round(length_sec * 100)) / 100
    rows = np.stack([seconds, np.where(np.abs(seconds - bump_sec) < 0.011, 5.0, 0.0), 0 * seconds, 0 * seconds], 1)
    np.savetxt(path, rows, delimiter=",", header="seconds,x,y,z", comments="")
    return path


def settings_of_patch() -> dict[str, Any]:
    return yaml.safe_load(next(block for block in blocks("yaml") if "accelerometer" in block))


def test_it_is_about_thirty_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 30


@pytest.mark.usefixtures("installed")
def test_a_knock_is_in_the_step_that_covers_it(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", bump_sec=3.2, length_sec=5.0)
    for offset_sec in (0.0, 0.7, -1.0):
        encoder = encoders.build({"type": "accelerometer", "hop_sec": 0.25, "offset_sec": offset_sec})
        side = encoder.encode(path)
        assert side is not None and (side.width, side.tokens) == (encoder.width, encoder.tokens)
        knocked = side.times_sec[side.values[:, 0, 3] > 0.1].tolist()
        assert knocked and all(abs(time_sec - (3.2 + offset_sec)) < 0.125 + 0.02 for time_sec in knocked)
    (tmp_path / "bad.csv").write_text("seconds,x,y,z\n0.1,a,b,c\n")
    with pytest.raises(InputError, match=r"bad\.csv: no table of numbers"):
        encoder.encode(tmp_path / "bad.csv")


@pytest.mark.usefixtures("installed")
def test_a_patch_is_trained_with_it(tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=4, videos=2)
    for clip in range(2):
        write_csv(data / f"{clip}.csv", bump_sec=0.5 + clip)
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    for index, line in enumerate(lines):
        line["side"] = {"motion": f"{index % 2}.csv"}
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = settings_of_patch()
    config = from_dict(
        TrainConfig,
        {
            **shown,
            "patch": {**shown["patch"], "hidden_dim": 16, "heads": 2},
            "preprocessing": {**shown["preprocessing"], "frames": 4},
            "base": str(base_folder("llava_onevision")),
            "out": str(tmp_path / "out"),
            "data": [{"path": str(data)}],
            "steps": 2,
            "batch_size": 2,
            "precision": "fp32",
            "gradient_checkpointing": False,
            "workers": 0,
        },
    )
    assert config.patch == PatchConfig("motion", 6, hidden_dim=16, heads=2) and config.data == (Source(data),)
    model = PaveModel.from_pretrained(train(config).folder)
    reader = SideReader.from_model(model)
    result = evaluate(model, read_samples(data, ["motion"]), reader=reader)
    assert len(result.responses) == 4 and not result.absent


def test_settings_and_files_on_the_page_are_valid(tmp_path: Path) -> None:
    shown = [yaml.safe_load(block)["encoder"] for block in blocks("yaml") if block.startswith("encoder:")]
    known = {"audio", "depth", "frames", "log_mel", "precomputed", "views"}
    assert {settings["type"] for settings in shown} == known
    for settings in shown:
        assert from_dict(encoders.registry.get(settings["type"]).config_class, settings).type == settings["type"]
    (tmp_path / "views.json").write_text(blocks("json")[0])
    cameras = read_views(tmp_path).cameras
    assert [(camera.path.name, camera.offset_sec, camera.drift) for camera in cameras] == [
        ("left.mp4", 0.0, 0.0),
        ("head.mp4", 1.25, 0.0002),
    ]
