"""LoRAs merged into a copy of the base, for whoever serves it without peft."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pave.attach import content_of
from pave.checkpoint import check_finite, fill_folder
from pave.data.processor import load_base_processor
from pave.errors import InputError
from pave.files import check_vacant, whole_folder

if TYPE_CHECKING:
    from pave.model import PaveModel

BASE_FOLDER = "base"
PATCHES_FOLDER = "patches"

logger = logging.getLogger(__name__)


def export_merged(model: PaveModel, folder: Path) -> None:
    """Write a merged copy of the base and its patches; see :meth:`pave.PaveModel.export_merged`."""
    check_vacant(folder)
    active = model.active_patches
    _check(model, active)
    base = model.lora.merged_copy({name: weight for name, weight in active.items() if name in model.lora.specs})
    # A relative one would be another folder elsewhere, or look like an id of the hub.
    record = replace(model.record, name=str((folder / BASE_FOLDER).absolute()), revision=None)
    with whole_folder(folder) as fresh:
        base.save_pretrained(fresh / BASE_FOLDER)
        _write_processor(model, fresh / BASE_FOLDER)
        for name in active:
            if name in model.patches:
                content = content_of(model, name)
                check_finite(content, name)
                spec = replace(content.spec, base=record, lora=None)
                target = fresh / PATCHES_FOLDER / name
                target.mkdir(parents=True)
                fill_folder(target, replace(content, spec=spec, lora={}))
    if model.balanced:
        logger.warning("%s: the model is balanced, which folders do not hold; set it on what is loaded there", folder)


def _check(model: PaveModel, active: dict[str, float]) -> None:
    if not any(name in model.lora.specs for name in active):
        raise InputError("no active patch has a LoRA; there is nothing to merge")
    others = [name for name in model.specs if name not in active]
    if others:
        raise InputError(
            f"merging the LoRAs of {', '.join(active)} would change patch {others[0]!r}, which is on this model too; "
            "remove it, or make it active to merge its own as well"
        )
    for name, weight in active.items():
        if weight != 1 and name in model.patches:
            raise InputError(
                f"patch {name!r} is active with weight {weight:g}, which a patch folder cannot hold; set it to 1"
            )


def _write_processor(model: PaveModel, folder: Path) -> None:
    try:
        processor = load_base_processor(model)
    except InputError as error:
        logger.warning("%s: written without a processor (%s)", folder, error)
        return
    processor.save_pretrained(folder)
