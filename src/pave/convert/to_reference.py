"""Patch folders into a checkpoint that the reference's own loader reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pave.bases.sizes import configuration_of
from pave.checkpoint import (
    CONFIG_FILE,
    LORA_FOLDER,
    LORA_WEIGHTS_FILE,
    WEIGHTS_FILE,
    Content,
    check_tensors,
    locate_patch,
    read_content,
    read_spec,
    write_json,
)
from pave.config import PatchConfig
from pave.convert import lora as lora_files
from pave.convert.checkpoint_files import LORA_RUN_FILE, PATCH_ONLY_FILE
from pave.convert.record import KEPT_FOLDER, KEPT_WEIGHTS_FILE, kept, write_record
from pave.convert.reference_config import original_name, reference_config, reference_sizes
from pave.convert.state import FIRST, SECOND, fresh_unused, to_reference
from pave.errors import InputError
from pave.files import check_vacant, whole_folder
from pave.patches import build

EXPRESSIBLE: dict[str, tuple[Any, ...]] = {
    "type": ("cross_attention",),
    "value_projection": ("tied",),
    "alignment": ("index",),
    "positions": ("none", "rotary_3d"),
    "query": ("vision",),
    "layout": ("grid",),
    "side_scale": (1.0,),
    "gate": ("norm",),
}
"""Fields of a patch's configuration, and what the reference has for each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToReferenceReport:
    """What a conversion wrote.

    Args:
        out: The folder.
        channels: Side channel of the first patch, and of the second.
        tensors: Number of the patches' tensors, the unused ones among them.
        drawn: How many of the unused ones were drawn afresh, since no original was kept.
        lora_tensors: Number of the LoRA's tensors; 0 if there is none.
        sizes: For each patch what the reference's configuration class must say of it: its files do not.
    """

    out: Path
    channels: tuple[str, ...]
    tensors: int
    drawn: int
    lora_tensors: int
    sizes: tuple[dict[str, Any], ...]


def convert_to_reference(
    patch: Path, out: Path, second: Path | None = None, base: str | None = None
) -> ToReferenceReport:
    """Convert a patch folder, or two that share a LoRA, to a checkpoint of the reference.

    Args:
        patch: The patch folder; or the folder that ``pave convert reference`` wrote for a checkpoint of two patches.
        out: New or empty folder.
        second: The patch that was trained second, with the LoRA that both share.
        base: The base, whose configuration goes into ``config.json``; by default the one that the patch records. It is
            not read if the patch came from the reference.

    Raises:
        InputError: If the reference has nothing that corresponds; the message names the field.
    """
    out = Path(out)
    check_vacant(out)
    folders = _folders(Path(patch), second)
    contents = [_read(folder) for folder in folders]
    if len(contents) > 1:
        _check_shared(folders, contents)
    unused = [_unused(folder, content) for folder, content in zip(folders, contents, strict=True)]
    state = _state(contents, [tensors for tensors, _ in unused])
    config = _config(folders, contents, base)
    spec = contents[0].spec
    _check_name(out, spec.lora is not None)
    with whole_folder(out) as fresh:
        torch.save(state, fresh / (PATCH_ONLY_FILE if spec.lora is None else LORA_RUN_FILE))
        write_json(fresh / "config.json", config)
        if spec.lora is not None:
            lora = lora_files.to_reference(contents[0].lora)
            save_file(lora, fresh / lora_files.WEIGHTS_FILES[0], metadata={"format": "pt"})
            adapter = lora_files.reference_config(spec.lora, lora, str(config["_name_or_path"]))
            write_json(fresh / lora_files.CONFIG_FILE, adapter)
        write_record(fresh, contents)
    return ToReferenceReport(
        out,
        tuple(_patch(content).channel for content in contents),
        len(state),
        sum(drawn for _, drawn in unused),
        len(contents[0].lora),
        tuple(reference_sizes(_patch(content)) for content in contents),
    )


def _patch(content: Content) -> PatchConfig:
    assert content.spec.patch is not None
    return content.spec.patch


def _folders(patch: Path, second: Path | None) -> list[Path]:
    if second is not None:
        return [locate_patch(patch), locate_patch(second)]
    inside = [file.parent for file in sorted(patch.glob(f"*/{CONFIG_FILE}"))] if patch.is_dir() else []
    if not inside or (patch / CONFIG_FILE).is_file():
        return [locate_patch(patch)]
    places = {read_spec(folder).training.get("joint_place"): folder for folder in inside}
    if len(inside) != 2 or set(places) != {1, 2}:
        raise InputError(f"{patch}: holds {len(inside)} patch folders; give the first one, and the other as --second")
    return [places[1], places[2]]


def _read(folder: Path) -> Content:
    """Read a patch folder, and check that the reference can express it."""
    content = read_content(folder)
    spec, where = content.spec, folder / CONFIG_FILE
    if spec.patch is None:
        raise InputError(f"{where}: patch is null; the reference has no checkpoint of a LoRA alone")
    if spec.base.model_type != "llava_onevision":
        raise InputError(
            f"{where}: base.model_type is {spec.base.model_type!r}; the reference knows llava_onevision only"
        )
    for field, values in EXPRESSIBLE.items():
        if getattr(spec.patch, field) not in values:
            found, known = getattr(spec.patch, field), " or ".join(map(repr, values))
            raise InputError(f"{where}: patch.{field} is {found!r}; the reference can express {known} only")
    with torch.device("meta"):
        wanted = build(spec.patch).state_dict()
    check_tensors(content.patch, wanted, folder / WEIGHTS_FILE)
    return content


def _check_shared(folders: Sequence[Path], contents: Sequence[Content]) -> None:
    first, second = contents
    if first.spec.lora is None or first.spec.lora.shared is None or first.spec.lora != second.spec.lora:
        raise InputError(
            f"{folders[1] / CONFIG_FILE}: lora.shared is not that of {folders[0]}; two patches of one checkpoint of "
            "the reference have one LoRA"
        )
    same = first.lora.keys() == second.lora.keys()
    if not same or any(not torch.equal(value, second.lora[key]) for key, value in first.lora.items()):
        where = folders[1] / LORA_FOLDER / LORA_WEIGHTS_FILE
        raise InputError(f"{where}: differs from the LoRA of {folders[0]}, which it is to share")
    if _patch(first).channel == _patch(second).channel:
        raise InputError(f"{folders[1]}: reads the channel {_patch(second).channel!r} like {folders[0]}")


def _unused(folder: Path, content: Content) -> tuple[dict[str, Tensor], int]:
    """Return the value projections that are never used, and how many of them had to be drawn."""
    dtype = next(iter(content.patch.values())).dtype
    fresh = fresh_unused(_patch(content), dtype)
    originals = kept(folder)
    if originals is None:
        return fresh, len(fresh)
    check_tensors(originals[1], fresh, folder / KEPT_FOLDER / KEPT_WEIGHTS_FILE)
    return {name: value.to(dtype) for name, value in originals[1].items()}, 0


def _state(contents: Sequence[Content], unused: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    prefix = "base_model.model.model." if contents[0].spec.lora is not None else "model."
    state: dict[str, Tensor] = {}
    for module, content, dead in zip((FIRST, SECOND), contents, unused, strict=False):
        weights = to_reference(content.patch, dead, _patch(content).layers)
        state |= {f"{prefix}{module}.{name}": value for name, value in weights.items()}
    return state


def _config(folders: Sequence[Path], contents: Sequence[Content], base: str | None) -> dict[str, Any]:
    """Return the reference's ``config.json``: the original one if it was kept, else one made from the base's."""
    originals = kept(folders[0])
    record = contents[0].spec.base
    if originals is not None and originals[0] and base is None:
        config = dict(originals[0])
    else:
        dtype = next(iter(contents[0].patch.values())).dtype
        config = reference_config(configuration_of(base or record.name), base or record.name, dtype)
    config.setdefault("_name_or_path", original_name(record.name))
    config.setdefault("temporal_aggregator_type", "pmv5")
    if len(contents) == 1:
        config.pop("temporal_aggregator2_type", None)
        return {**config, "model_type": "pave_qwen2"}
    config.setdefault("temporal_aggregator2_type", "ssmv5")
    return {**config, "model_type": "pave_qwen2_multi_sides"}


def _check_name(out: Path, with_lora: bool) -> None:
    words = ("pave", "lora") if with_lora else ("pave", "adaptor")
    missing = [word for word in words if word not in out.name]
    if missing:
        logger.warning("%s: the reference goes by a folder's name; put %s into it", out, " and ".join(missing))
