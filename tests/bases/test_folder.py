"""A folder that is no base is told in one line that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pave import InputError, PaveModel
from tests.tiny import base_folder


def _typed(folder: Path, **changes: str | None) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in {**config, **changes}.items() if value is not None}))


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: _typed(folder, model_type="perceiver9"),
        lambda folder: _typed(folder, model_type=None),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "model.safetensors").unlink(),
        _cut,
    ],
    ids=["unknown type", "no type", "no JSON", "no weights", "half of the weights"],
)
def test_a_folder_that_is_no_base(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base_folder("llava_onevision"), folder)
    spoil(folder)
    with pytest.raises(InputError, match="/base: cannot be read as a base") as error:
        PaveModel.from_base(folder)
    assert "\n" not in str(error.value)
