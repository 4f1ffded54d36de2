"""What patch, LoRA, encoder and appended tokens cost on released bases: exact, from configurations alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pave.bases.sizes import configuration_of
from pave.blindspot.study.page.markdown import NOT_RUN, table
from pave.config import LoraSpec, PatchConfig, from_dict, read_yaml
from pave.cost import Part, Scene, count_base, count_encoder, count_patch, meta_model
from pave.files import write_whole

SIZES_FILE = "sizes.json"
SECONDS = 60.0
PAPER_SHARE = 0.001
"""What the paper states of a patch beside its base (PAVE, arXiv 2503.19794)."""

BASES = (
    "llava-onevision-0.5b",
    "llava-onevision-7b",
    "qwen2-vl-7b",
    "qwen2.5-vl-7b",
    "qwen3-vl-8b",
    "internvl3.5-8b",
    "videollama3-7b",
    "llava-next-video-7b",
    "smolvlm2-2.2b",
)
"""LLaVA-OneVision, for which the paper states its share, and families beside it."""

VIEWS, VIEW_TOKENS = 32, 576
"""Side steps and tokens a step of the paper's 3D channel, as dense as its channels get."""


@dataclass(frozen=True)
class Size:
    """Costs on one released base: parameters, and operations up to the first new token.

    Args:
        base: Its name.
        parameters: Of the base.
        flops: Of the base.
        tokens: That its language model reads.
        patch: Parameters and operations of the audio patch.
        lora: Of its LoRA.
        encoder: Of its encoder.
        appended: Tokens that would be appended in place of that patch, and operations of reading them.
        dense_patch: Parameters and operations of a patch on the dense channel.
        dense_appended: Tokens and operations of appending that channel.
    """

    base: str
    parameters: int
    flops: int
    tokens: int
    patch: Sequence[int]
    lora: Sequence[int]
    encoder: Sequence[int]
    appended: Sequence[int]
    dense_patch: Sequence[int]
    dense_appended: Sequence[int]


def count(name: str, settings: Mapping[str, Any]) -> Size:
    """Count what stands beside a base.

    Args:
        name: Of a released base.
        settings: ``patch``, ``lora`` and ``preprocessing``, as ``pave train`` takes them.
    """
    scene = Scene(settings["preprocessing"]["frames"])
    model = meta_model(configuration_of(name), name)
    base = count_base(model, scene)
    encoder = count_encoder(settings["preprocessing"]["encoder"], SECONDS, model, scene)
    config, spec = (from_dict(kind, settings[key]) for kind, key in ((PatchConfig, "patch"), (LoraSpec, "lora")))
    side = encoder.steps, encoder.tokens or 1
    patch, lora = count_patch(model, base, config, spec, *side, SECONDS)
    dense = count_patch(model, base, config, None, VIEWS, VIEW_TOKENS, SECONDS)[0]

    def appended(tokens: int) -> tuple[int, int]:
        longer = count_base(model, Scene(scene.frames, scene.prompt_tokens + tokens))
        return tokens, longer.total.flops - base.total.flops

    return Size(
        name,
        base.total.parameters,
        base.total.flops,
        base.sequence,
        *map(_numbers, (patch, lora, encoder.part)),
        appended(side[0] * side[1]),
        _numbers(dense),
        appended(VIEWS * VIEW_TOKENS),
    )


def _numbers(part: Part) -> tuple[int, int]:
    return part.parameters, part.flops


def section(sizes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the paragraphs of released sizes."""
    yield "## What it costs at the real sizes"
    yield (
        "Exact counts from the configurations of released bases, as [Cost](cost.md) defines them: the audio patch of "
        "`configs/patch-audio.yaml` beside a minute of film, its LoRA and its encoder, as shares of the base's "
        "parameters (P) and operations (F); what reading the same side tokens in the sequence takes instead; and both "
        "for a channel as dense as the paper's 3D one."
    )
    heads = (
        *("base", "parameters", "TFLOPs", "patch, P", "patch, F", "LoRA, P", "LoRA, F", "encoder, P", "encoder, F"),
        *("appended, F", "dense patch, F", "dense appended, F"),
    )
    yield table(heads, [_line(size) for size in sizes])
    if not sizes:
        yield f"These sizes were {NOT_RUN}."
    told = [_share(size["patch"][0], size["parameters"]) for size in sizes]
    if sizes:
        least, most = min(sizes, key=_patch_share), max(sizes, key=_patch_share)
        yield (
            f"The paper states {100 * PAPER_SHARE:g} % for its patch; here it is from "
            f"{min(told, key=_value)} ([{least['base']}](#{anchor(least)})) to {max(told, key=_value)} "
            f"([{most['base']}](#{anchor(most)})) of the parameters."
        )


def anchor(size: Mapping[str, Any]) -> str:
    """Return the name of a base's row."""
    return f"size-{size['base'].replace('.', '-')}"


def _patch_share(size: Mapping[str, Any]) -> float:
    return size["patch"][0] / size["parameters"]


def _value(text: str) -> float:
    return float(text.removesuffix(" %"))


def _line(size: Mapping[str, Any]) -> list[str]:
    cells = [
        f'<a id="{anchor(size)}"></a>`{size["base"]}`',
        f"{size['parameters'] / 1e9:.3f} B",
        f"{size['flops'] / 1e12:.1f}",
    ]
    for part in ("patch", "lora", "encoder"):
        parameters, flops = size[part]
        cells += [_share(parameters, size["parameters"]), _share(flops, size["flops"])]
    return [*cells, *(_share(size[part][1], size["flops"]) for part in ("appended", "dense_patch", "dense_appended"))]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %"


def main(arguments: Sequence[str]) -> None:
    """Count all bases: ``python -m pave.blindspot.study.page.sizes configs/patch-audio.yaml studies/results``."""
    recipe, results = map(Path, arguments)
    settings = read_yaml(recipe)
    sizes = [asdict(count(name, settings)) for name in BASES]
    write_whole(results / SIZES_FILE, json.dumps(sizes, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
