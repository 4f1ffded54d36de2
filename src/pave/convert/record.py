"""What a converted folder keeps beside what its own format holds, so that a way there and back changes nothing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pave.checkpoint import Content, read_tensors, write_json
from pave.config import PatchConfig, PatchSpec, Preprocessing, from_dict, read_json, to_dict
from pave.convert.checkpoint_files import CheckpointFiles

RECORD_FILE = "pave.json"
"""In a folder of the reference's form: what this project knows of its patches. The reference does not read it."""

KEPT_FOLDER, KEPT_CONFIG_FILE, KEPT_WEIGHTS_FILE = "reference", "config.json", "unused.safetensors"
"""In a patch folder that came from the reference: its ``config.json``, and the weights that are never used."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PatchRecord:
    """One patch, as it was recorded.

    Args:
        spec: What its ``patch_config.json`` says.
        preprocessing: How media become its inputs, if that was known.
    """

    spec: PatchSpec
    preprocessing: Preprocessing | None = None

    @property
    def patch(self) -> PatchConfig:
        """The fusion module."""
        assert self.spec.patch is not None
        return self.spec.patch

    def restore(self, content: Content) -> Content:
        """Return a patch with what was recorded of it, unless the user has chosen otherwise for it."""
        spec, lora = content.spec, content.spec.lora
        if lora is not None and self.spec.lora is not None:
            lora = replace(lora, shared=self.spec.lora.shared, targets=self.spec.lora.targets)
        training = self.spec.training if spec.patch == self.patch else spec.training
        return replace(content, spec=replace(spec, lora=lora, training=training), preprocessing=self.preprocessing)


@dataclass(frozen=True)
class Record:
    """The patches of a folder of the reference's form.

    Args:
        weights: Identity of the tensors that they belong to.
        patches: First and second.
    """

    weights: str
    patches: tuple[PatchRecord, ...]


def identity(tensors: Mapping[str, Tensor]) -> str:
    """Return a text that is the same for the same tensors under the same names only."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_record(folder: Path, contents: Sequence[Content]) -> None:
    """Write :data:`RECORD_FILE`."""
    patches = tuple(PatchRecord(content.spec, content.preprocessing) for content in contents)
    weights = _identity([content.patch for content in contents], contents[0].lora)
    write_json(folder / RECORD_FILE, to_dict(Record(weights, patches)))


def read_record(
    files: CheckpointFiles, patches: Sequence[Mapping[str, Tensor]], lora: Mapping[str, Tensor]
) -> tuple[PatchRecord, ...]:
    """Return what was recorded of each patch; nothing where there is no record of these weights.

    Args:
        files: The checkpoint.
        patches: The weights of its patches.
        lora: The tensors of its LoRA.

    Raises:
        InputError: If the record is damaged.
    """
    if not files.has(RECORD_FILE):
        return ()
    record = from_dict(Record, files.read_json(RECORD_FILE), files.where(RECORD_FILE))
    if record.weights != _identity(patches, lora) or any(patch.spec.patch is None for patch in record.patches):
        logger.warning("%s: was written for other weights; it is left out", files.where(RECORD_FILE))
        return ()
    return record.patches


def _identity(patches: Sequence[Mapping[str, Tensor]], lora: Mapping[str, Tensor]) -> str:
    named = {f"{index}.{name}": value for index, patch in enumerate(patches) for name, value in patch.items()}
    return identity({**lora, **named})


def keep(folder: Path, config: Mapping[str, object], unused: Mapping[str, Tensor]) -> None:
    """Write :data:`KEPT_FOLDER` into a patch folder."""
    (folder / KEPT_FOLDER).mkdir()
    write_json(folder / KEPT_FOLDER / KEPT_CONFIG_FILE, config)
    save_file(dict(unused), folder / KEPT_FOLDER / KEPT_WEIGHTS_FILE)


def kept(folder: Path) -> tuple[dict[str, object], dict[str, Tensor]] | None:
    """Return what :func:`keep` wrote; ``None`` for a patch that did not come from the reference.

    Raises:
        InputError: If a file is missing or damaged.
    """
    if not (folder / KEPT_FOLDER).is_dir():
        return None
    config = read_json(folder / KEPT_FOLDER / KEPT_CONFIG_FILE)
    return config, read_tensors(folder / KEPT_FOLDER / KEPT_WEIGHTS_FILE)
