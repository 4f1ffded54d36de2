"""``pave info``: parameters, operations and memory of a base, and of a patch, its LoRA and its encoder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pave.cli import console, print_json
from pave.cli.arguments import parse
from pave.config import LoraSpec, PatchConfig, Preprocessing, from_dict, read_yaml
from pave.errors import InputError, nearest
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.cost import BaseCost, Part, Scene
    from pave.model import PaveModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What a patch consists of, from a YAML file or a patch folder."""

    patch: PatchConfig | None
    lora: LoraSpec | None
    preprocessing: Preprocessing | None


@dataclass(frozen=True)
class Side:
    """What of a side channel counts: its steps K, its tokens a step N, and its encoder's cost, if there is one."""

    steps: int
    tokens: int
    encoder: Part | None


def main(arguments: list[str]) -> None:
    """Run ``pave info``."""
    parse(run, "pave info", arguments, positional=["base"])


def run(
    base: str | None = None,
    patch: str | None = None,
    frames: int | None = None,
    seconds: float = 60.0,
    prompt_tokens: int = 32,
    height: int = 360,
    width: int = 640,
    side_steps: int | None = None,
    side_tokens: int | None = None,
    list: bool = False,
    json: bool = False,
) -> None:
    """Count parameters, FLOPs and memory of a base, a patch, its LoRA and its encoder, without weights.

    Args:
        base: Hub id, folder, shipped name, or a known size such as llava-onevision-7b.
        patch: YAML file with patch and lora, a patch folder, a shipped name or a hub id.
        frames: Sampled frames of the video; by default the patch's own number, else 32.
        seconds: Length of the video and of its side channel.
        prompt_tokens: Text tokens beside the video's.
        height: Of the video in pixels, for bases that take it in its own size.
        width: Of the video in pixels, likewise.
        side_steps: Side steps K, where no encoder tells them.
        side_tokens: Side tokens a step N, likewise.
        list: List the known sizes instead.
        json: Print one JSON object for scripts.
    """
    from pave.bases.sizes import configuration_of
    from pave.cost import Scene, count_appended, count_base, count_patch, meta_base, meta_model

    quieten()
    if list:
        return _list_sizes(json)
    if base is None:
        raise InputError("pave info: give a base, such as llava-onevision-7b, or --list to see the known sizes")
    if not seconds > 0:
        raise InputError(f"seconds is {seconds}; it must be above 0")
    for name, value in (("side_steps", side_steps), ("side_tokens", side_tokens)):
        if value is not None and patch is None:
            raise InputError(f"{name} is of what a patch reads; name one by --patch, or leave {name} out")
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    setup = read_setup(patch) if patch is not None else None
    if frames is None:
        frames = setup.preprocessing.frames if setup and setup.preprocessing else 32
    scene = Scene(frames, prompt_tokens, height, width)
    config = configuration_of(base)
    if setup is None:
        cost = count_base(meta_base(config), scene)
    else:
        model = meta_model(config, base)
        cost = count_base(model, scene, setup.patch.layout if setup.patch else None)
    added: list[Part] = []
    facts: dict[str, Any] = {"frames": frames, "seconds": seconds, "prompt_tokens": prompt_tokens}
    if setup is not None:
        side = count_side(setup, seconds, side_steps, side_tokens, model, scene) if setup.patch else Side(0, 0, None)
        added = count_patch(model, cost, setup.patch, setup.lora, side.steps, side.tokens, seconds)
        added += [side.encoder] if side.encoder else []
        if setup.patch:
            appended = count_appended(model, setup.patch, side.steps, side.tokens)
            facts |= {"side_steps": side.steps, "side_tokens": side.tokens, "appended_tokens": appended}
    facts |= {"video_steps": cost.steps, "video_tokens": cost.tokens, "sequence": cost.sequence}
    if json:
        print_json(_result(base, patch, cost, added, facts))
    else:
        _print(base, patch, cost, added, facts)


def _list_sizes(json: bool) -> None:
    from pave.bases.sizes import sizes

    if json:
        return print_json({"sizes": {name: {"hub_ids": size.hub_ids} for name, size in sizes().items()}})
    width = max(map(len, sizes()))
    for name, size in sizes().items():
        print(f"{name:<{width}}  {_amount(size.published, 'B'):>8}  {size.hub_ids[0]}")


def read_setup(source: str) -> Setup:
    """Read what a patch consists of.

    Args:
        source: A YAML file with the keys of a training run, a patch folder, a shipped name or a hub id.

    Raises:
        InputError: If there is no such thing, or it does not hold a patch.
    """
    if source.endswith((".yaml", ".yml")):
        return _read_yaml(Path(source))
    from pave.checkpoint import locate_patch, read_preprocessing, read_spec

    folder = locate_patch(source)
    spec = read_spec(folder)
    return Setup(spec.patch, spec.lora, read_preprocessing(folder))


def count_side(
    setup: Setup, seconds: float, steps: int | None, tokens: int | None, model: PaveModel, scene: Scene
) -> Side:
    """Count what the side channel of a patch holds, by its encoder or as told.

    Raises:
        InputError: If neither tells.
    """
    from pave.cost import count_encoder

    settings = setup.preprocessing.encoder if setup.preprocessing else None
    told = steps is not None and tokens is not None
    if settings is None or (settings.get("type") == "precomputed" and told):
        if steps is None or tokens is None:
            raise InputError("the patch names no encoder; give --side-steps and --side-tokens")
        return Side(steps, tokens, None)
    try:
        encoder = count_encoder(settings, seconds, model, scene)
    except InputError as error:
        if steps is None or tokens is None:
            raise InputError(f"{error}; or give --side-steps and --side-tokens, to leave the encoder out") from None
        logger.warning("the encoder is left out: %s", error)
        return Side(steps, tokens, None)
    tokens = tokens if tokens is not None else encoder.tokens
    if tokens is None:
        raise InputError(f"encoder {settings['type']!r} learns its tokens a step from its files; give --side-tokens")
    return Side(steps if steps is not None else encoder.steps, tokens, encoder.part)


def _read_yaml(path: Path) -> Setup:
    from pave.training.config import TrainConfig

    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no mapping; write patch:, lora: and preprocessing:")
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for key in content:
        if key not in known:
            raise InputError(f"{path}: unknown key {key!r}{nearest(str(key), known)}")
    if content.get("patches"):
        raise InputError(f"{path}: holds 'patches'; give a file with one of them, under patch: and preprocessing:")
    parts = {"patch": PatchConfig, "lora": LoraSpec, "preprocessing": Preprocessing}
    read = {
        name: from_dict(kind, content[name], str(path)) if content.get(name) is not None else None
        for name, kind in parts.items()
    }
    if read["patch"] is None and read["lora"] is None:
        raise InputError(f"{path}: holds neither patch nor lora; write at least one of them")
    return Setup(read["patch"], read["lora"], read["preprocessing"])  # type: ignore[arg-type]


def _result(
    base: str, patch: str | None, cost: BaseCost, added: Sequence[Part], facts: dict[str, Any]
) -> dict[str, Any]:
    total = cost.total
    parts = {part.name: _numbers(part) for part in cost.parts}
    shares = {part.name.lower().replace(" ", "_"): {**_numbers(part), **_shares(part, total)} for part in added}
    whole = {**_numbers(total), "active_parameters": cost.active, "cache_bytes": cost.cache, "parts": parts}
    return {"base": {"name": base, **whole}, "patch_source": patch, **shares, **facts}


def _numbers(part: Part) -> dict[str, Any]:
    return {"parameters": part.parameters, "flops": part.flops, "bytes": part.memory}


def _shares(part: Part, total: Part) -> dict[str, float]:
    return {
        "parameter_share": part.parameters / total.parameters,
        "flops_share": part.flops / total.flops,
    }


def _print(base: str, patch: str | None, cost: BaseCost, added: Sequence[Part], facts: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    total = cost.total
    title = f"{base} and {patch}" if patch else base
    table = Table(
        title=title, box=box.SIMPLE_HEAD, title_style="bold", caption=_caption(cost, facts), caption_justify="left"
    )
    for heading in ("", "parameters", "of base", "FLOPs", "of base", "bf16"):
        table.add_column(heading, justify="right" if heading else "left")
    for part in cost.parts:
        table.add_row(f"  {part.name}", *_cells(part, total), style="dim")
    table.add_row("base", *_cells(total, total), style="bold", end_section=True)
    for part in added:
        table.add_row(part.name, *_cells(part, total))
    console().print(table)


def _cells(part: Part, total: Part) -> tuple[str, ...]:
    shares = _shares(part, total)
    return (
        _amount(part.parameters, "B"),
        _percentage(shares["parameter_share"]),
        _amount(part.flops, "G"),
        _percentage(shares["flops_share"]),
        _bytes(part.memory),
    )


def _amount(number: int, billion: str) -> str:
    for unit, size in (("T", 1e12), (billion, 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def _bytes(number: int) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**30 / 100 else f"{number / 2**20:.2f} MiB"


def _percentage(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 1 else f"{100 * share:.2f} %" if share < 0.1 else f"{100 * share:.1f} %"


def _caption(cost: BaseCost, facts: dict[str, Any]) -> str:
    side = f", {facts['side_steps']} side steps of {facts['side_tokens']} token(s)" if "side_steps" in facts else ""
    total = cost.total.parameters
    appended = facts.get("appended_tokens")
    side += f", which become {appended} tokens after the video's" if appended else ""
    active = f" {_amount(cost.active, 'B')} parameters are active for a text token." if cost.active < total else ""
    return (
        f"One video of {facts['frames']} frames and {facts['seconds']:g} s{side}: {facts['video_steps']} x "
        f"{facts['video_tokens']} video tokens, {facts['sequence']} tokens with the prompt, which leave "
        f"{_bytes(cost.cache)} in the cache. FLOPs (a multiply-add is two) up to the first new token; the encoder's "
        f"for the whole length.{active}"
    )
