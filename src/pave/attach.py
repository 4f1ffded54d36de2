"""Between patch folders and a model: save a patch, load one, put one in the place of another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pave.checkpoint import (
    CONFIG_FILE,
    LORA_FOLDER,
    LORA_WEIGHTS_FILE,
    WEIGHTS_FILE,
    Content,
    check_finite,
    check_tensors,
    fill_folder,
    locate_patch,
    read_content,
)
from pave.config import PatchSpec
from pave.errors import InputError
from pave.files import whole_folder
from pave.model import PaveModel, is_patch_name
from pave.sharding import fill, gathered, in_shards, reshard, whole

logger = logging.getLogger(__name__)


def save_patch(model: PaveModel, name: str, folder: Path, training: Mapping[str, Any]) -> None:
    """Write one patch of a model; see :meth:`pave.PaveModel.save_patch`."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG_FILE).is_file())):
        raise InputError(f"{folder}: exists and is no patch folder; choose a new or an empty folder")
    content = content_of(model, name)
    check_finite(content, name)
    content = replace(content, spec=replace(content.spec, training=dict(training)))
    if any(in_shards(weight) for weight in _weights(model, name)) and torch.distributed.get_rank() != 0:
        return
    with whole_folder(folder) as fresh:
        fill_folder(fresh, content)


def content_of(model: PaveModel, name: str) -> Content:
    """Return what the folder of a patch on a model holds; if its weights are sharded, every process must ask."""
    reshard(model)
    with gathered(_weights(model, name)):
        patch = model.patches[name].state_dict() if name in model.patches else {}
        return Content(
            model.specs[name],
            {key: whole(value) for key, value in patch.items()},
            model.lora.state(name) if name in model.lora.specs else {},
            model.preprocessing.get(name),
        )


def _weights(model: PaveModel, name: str) -> list[Tensor]:
    """Return the weights of a patch and of its LoRA."""
    patch = list(model.patches[name].parameters()) if name in model.patches else []
    return [*patch, *(model.lora.parameters(name) if name in model.lora.specs else [])]


def load_patch(model: PaveModel, source: str | Path, name: str | None, trainable: bool) -> str:
    """Load a patch onto a model; see :meth:`pave.PaveModel.load_patch`."""
    model.lora.check_not_merged()
    folder = locate_patch(source)
    content = _fitting_content(model, folder)
    spec = content.spec
    if name is None:
        name = _name_of(spec.patch.channel) if spec.patch is not None else "lora_only"
    _put_patch(model, name, content, folder, trainable)
    return name


def _name_of(channel: str) -> str:
    """Return the name of a patch that nobody named: its channel, as far as a patch can have that name."""
    name = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in channel)
    return name if is_patch_name(name) else f"_{name}"


def replace_patch(model: PaveModel, name: str, source: str | Path) -> None:
    """Put a patch in the place of another; see :meth:`pave.PaveModel.replace_patch`."""
    model.lora.check_not_merged()
    folder = locate_patch(source)
    content = _fitting_content(model, folder)
    old, trained = _kept(content_of(model, name)), _is_trained(model, name)
    channels = [spec.patch.channel if spec.patch is not None else None for spec in (old.spec, content.spec)]
    if channels[0] != channels[1]:
        raise InputError(
            f"{folder}: reads channel {channels[1]!r}, but patch {name!r} reads {channels[0]!r}; load it beside"
        )
    if _same_sizes(old.spec, content.spec):
        _check_weights(model, name, content, folder)
        _overwrite_weights(model, name, content, old, trained)
        model.specs[name] = replace(model.specs[name], training=content.spec.training)
        model.preprocessing.pop(name, None)
        if content.preprocessing is not None:
            model.preprocessing[name] = content.preprocessing
        return
    try:
        model.remove_patch(name)
        _put_patch(model, name, content, folder, trained)
    except BaseException:
        # Memory may run out, or the user may stop it, too.
        if name in model.specs:
            model.remove_patch(name)
        _put_patch(model, name, old, folder, trained)
        raise


def _fitting_content(model: PaveModel, folder: Path) -> Content:
    content = read_content(folder)
    spec = content.spec
    if spec.base.token_dim != model.record.token_dim:
        raise InputError(
            f"{folder}: made for base {spec.base.name!r} of width {spec.base.token_dim}, "
            f"not for {model.record.name!r} of width {model.record.token_dim}"
        )
    if spec.base.model_type != model.record.model_type:
        logger.warning("%s: made for a %s, put on a %s", folder, spec.base.model_type, model.record.model_type)
    return content


def _put_patch(model: PaveModel, name: str, content: Content, folder: Path, trainable: bool) -> None:
    """Add a patch with its weights; on an error the model is as it was."""
    spec = content.spec
    trained = [other for other in model.specs if _is_trained(model, other)]
    model.add_patch(name, spec.patch, spec.lora, content.preprocessing)
    try:
        _check_weights(model, name, content, folder)
        _fill_weights(model, name, content, _running_dtype(model, content.patch, trainable))
        model.specs[name] = replace(model.specs[name], training=spec.training)
        model.set_trainable([*trained, name] if trainable else trained)
    except BaseException:
        model.remove_patch(name)
        raise


def _overwrite_weights(model: PaveModel, name: str, content: Content, old: Content, trainable: bool) -> None:
    """Write weights over those of a patch; on an error it has its old ones."""
    try:
        _fill_weights(model, name, content, _running_dtype(model, content.patch, trainable))
    except BaseException:
        _fill_weights(model, name, old, _dtype_of(old.patch))
        raise


def _kept(content: Content) -> Content:
    """Return a copy that stays as it is when the model's weights change, on the CPU, too."""
    patch, lora = ({key: value.clone() for key, value in part.items()} for part in (content.patch, content.lora))
    return replace(content, patch=patch, lora=lora)


def _check_weights(model: PaveModel, name: str, content: Content, folder: Path) -> None:
    """Check all tensors of a patch."""
    lora_path = folder / LORA_FOLDER / LORA_WEIGHTS_FILE
    if content.spec.patch is not None:
        check_tensors(content.patch, model.patches[name].state_dict(), folder / WEIGHTS_FILE)
    if content.spec.lora is not None:
        check_tensors(content.lora, model.lora.named(name), lora_path)
        _check_shared(model, name, content.lora, lora_path)


def _fill_weights(model: PaveModel, name: str, content: Content, dtype: torch.dtype | None) -> None:
    """Give a patch the tensors of a folder, its module running in ``dtype``."""
    if content.spec.patch is not None:
        patch = model.patches[name].to(dtype)
        for key, weight in patch.state_dict(keep_vars=True).items():
            fill(weight, content.patch[key])
    if content.spec.lora is not None and not model.lora.sharers(name):
        model.lora.load_state(name, content.lora)


def _same_sizes(old: PatchSpec, new: PatchSpec) -> bool:
    """Whether weights of one patch fit the modules of another, whose base filled in what its own file leaves open."""
    if old.lora != new.lora or (old.patch is None) != (new.patch is None):
        return False
    if old.patch is None or new.patch is None:
        return True
    return old.patch == replace(new.patch, query_dim=old.patch.query_dim, token_dim=old.patch.token_dim)


def _running_dtype(model: PaveModel, state: Mapping[str, Tensor], trainable: bool) -> torch.dtype | None:
    """Return the wider of the file's float type and the base's; half widths round off what training adds."""
    dtype = _dtype_of(state)
    if dtype is None:
        return None
    return torch.float32 if trainable else torch.promote_types(dtype, model.dtype)


def _dtype_of(state: Mapping[str, Tensor]) -> torch.dtype | None:
    return next((value.dtype for value in state.values()), None)


def _check_shared(model: PaveModel, name: str, state: Mapping[str, Tensor], path: Path) -> None:
    """Check that a LoRA which other patches share comes with the weights that it has."""
    sharers = model.lora.sharers(name)
    if sharers and any(
        not torch.equal(state[key].to(value.dtype), value) for key, value in model.lora.state(name).items()
    ):
        raise InputError(
            f"{path}: differs from the LoRA that patch {sharers[0]!r} shares with it; load folders of one conversion "
            "or training"
        )


def _is_trained(model: PaveModel, name: str) -> bool:
    return name in model.lora.trainable or (
        name in model.patches and any(weight.requires_grad for weight in model.patches[name].parameters())
    )
