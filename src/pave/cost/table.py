"""Tables of costs for the documentation: ``python -m pave.cost.table docs/cost.md PATCH.yaml`` writes them anew."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pave.bases.sizes import configuration_of, sizes
from pave.config import LoraSpec, PatchConfig, from_dict, read_yaml
from pave.cost.base import count_base, meta_model
from pave.cost.patch import count_encoder, count_patch
from pave.cost.scene import Scene

BASES = (
    "llava-onevision-0.5b",
    "llava-onevision-7b",
    "llava-onevision-72b",
    "qwen2.5-vl-3b",
    "qwen2.5-vl-7b",
    "qwen2.5-vl-32b",
    "qwen2.5-vl-72b",
    "qwen3-vl-8b",
    "internvl3.5-8b",
    "videollama3-7b",
    "llava-next-video-7b",
    "molmo2-8b",
    "smolvlm2-2.2b",
)
"""Bases of the table of shares."""

SECONDS = 60.0


def shares(settings: Mapping[str, Any], names: tuple[str, ...] = BASES) -> str:
    """Return the share of a patch, its LoRA and its encoder in each base, as a Markdown table.

    Args:
        settings: ``patch``, ``lora`` and ``preprocessing``, as ``pave train`` takes them.
        names: Of the bases.
    """
    heads = [
        "base",
        "parameters",
        "TFLOPs",
        *(f"{part}, {of}" for part in ("patch", "LoRA", "encoder") for of in "PF"),
    ]
    rows = [_share_row(name, settings) for name in names]
    return _table(heads, rows)


def known() -> str:
    """Return what is known of released sizes, as a Markdown table."""
    heads = ["size", "repository", "published", "tolerance", "known from"]
    rows = [
        [
            f"`{size.name}`",
            f"`{size.hub_ids[0]}`",
            f"{size.published / 1e9:.4g} B",
            f"{100 * size.tolerance:g} %" if size.tolerance else "exact",
            f"{size.source} ({size.note})" if size.note else size.source,
        ]
        for size in sizes().values()
    ]
    return _table(heads, rows)


def written(page: str, settings: Mapping[str, Any]) -> str:
    """Return a page with both tables anew, each between its marks."""
    for name, table in (("shares", shares(settings)), ("known", known())):
        page = between(page, name, table)
    return page


def between(page: str, name: str, table: str) -> str:
    """Return a page with ``table`` between the marks ``<!-- name -->`` and ``<!-- /name -->``."""
    start, rest = page.split(f"<!-- {name} -->", 1)
    _, end = rest.split(f"<!-- /{name} -->", 1)
    return f"{start}<!-- {name} -->\n\n{table}\n<!-- /{name} -->{end}"


def _share_row(name: str, settings: Mapping[str, Any]) -> list[str]:
    scene = Scene(settings["preprocessing"]["frames"])
    model = meta_model(configuration_of(name), name)
    base = count_base(model, scene)
    encoder = count_encoder(settings["preprocessing"]["encoder"], SECONDS, model, scene)
    patch, lora = (from_dict(kind, settings[key]) for kind, key in ((PatchConfig, "patch"), (LoraSpec, "lora")))
    added = [*count_patch(model, base, patch, lora, encoder.steps, encoder.tokens or 1, SECONDS), encoder.part]
    total = base.total
    cells = [f"`{name}`", f"{total.parameters / 1e9:.3f} B", f"{total.flops / 1e12:.1f}"]
    for part in added:
        cells += [f"{100 * part.parameters / total.parameters:.2f} %", f"{100 * part.flops / total.flops:.2f} %"]
    return cells


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    file, recipe = map(Path, sys.argv[1:3])
    file.write_text(written(file.read_text(encoding="utf-8"), read_yaml(recipe)), encoding="utf-8")
