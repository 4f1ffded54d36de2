"""The examples of the page on several patches run as they stand, on a tiny base."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from pave import PaveModel
from tests.batches import make_batch, patch_config, randomize, side_channel
from tests.composed import LORAS
from tests.tiny import FAMILIES, base_folder

PAGE = (Path(__file__).parents[1] / "docs" / "composition.md").read_text(encoding="utf-8")
FAMILY = FAMILIES[0]


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def made_patch(folder: Path, channel: str, seed: int) -> Path:
    model = PaveModel.from_base(base_folder(FAMILY))
    model.add_patch(channel, patch_config(channel=channel), LORAS[channel])
    randomize(model, channel, seed)
    model.save_patch(channel, folder)
    return folder


def test_examples_run(tmp_path: Path) -> None:
    places = {
        "llava-hf/llava-onevision-qwen2-7b-ov-hf": base_folder(FAMILY),
        "someone/pave-audio-2": made_patch(tmp_path / "audio-2", "audio", 1),
        "someone/pave-audio": made_patch(tmp_path / "audio", "audio", 2),
        "someone/pave-depth": made_patch(tmp_path / "depth", "depth", 3),
        "out/merged": tmp_path / "merged",
    }
    batch = make_batch(FAMILY)
    pixels = batch.inputs["pixel_values_videos"]
    films = [({"pixel_values_videos": pixels[row : row + 1]}, [batch.times[row]]) for row in range(2)]
    scope: dict[str, Any] = {
        "inputs": {**batch.inputs, "max_new_tokens": 3},
        "times": batch.times,
        "sound": side_channel(1),
        "shape": side_channel(2),
        "films": films,
    }
    loaded, balanced, active, replaced, merged, ragged = blocks()
    for block in (loaded, balanced, active, replaced):
        for written, place in places.items():
            block = block.replace(f'"{written}"', repr(str(place)))
        if block.startswith("import"):
            block = block.replace("model(**inputs", "model(**batch_inputs")
            scope["batch_inputs"] = batch.inputs
        exec(block, scope)
    assert scope["model"].active_patches == {"audio": 1.0}
    scope["side"].pop("depth")
    exec(ragged, scope)
    assert isinstance(scope["ids"], torch.Tensor)
    exec(merged.replace("out/merged", str(tmp_path / "merged")), scope)
    assert (tmp_path / "merged" / "patches" / "audio" / "patch_config.json").is_file()
